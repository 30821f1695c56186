package gateway

import (
	"net/http"
	"strings"
	"testing"

	"loft.sh/agent/pkg/doors"
)

func TestMissingAgentIsNeverTakenForAnAnswer(t *testing.T) {
	const list, backend = "/api/v1/pods", "/api/v1/namespaces/a/services/s/proxy/x"
	for _, tc := range []struct {
		name, path string
		marked     bool
		code       int
		body       string
		want       int
		wantWords  string
	}{
		{"the agent's own not found", list, true, http.StatusNotFound, "404 page not found", http.StatusNotFound, ""},
		{"the agent's own unavailable", list, true, http.StatusServiceUnavailable, "x", http.StatusServiceUnavailable, ""},
		{"the backend's unauthorized", backend, true, http.StatusUnauthorized, "log in", http.StatusUnauthorized, ""},
		{"whom the client may not impersonate", list, true, http.StatusForbidden,
			`{"message":"users \"bob\" is forbidden: User \"alice\" cannot impersonate resource"}`, http.StatusForbidden, ""},
		{"no API service", list, false, http.StatusNotFound, "404 page not found", http.StatusServiceUnavailable, `the agent of cluster "eu" is not installed`},
		{"no API service, for a backend", backend, false, http.StatusNotFound, "404 page not found", http.StatusServiceUnavailable, `the agent of cluster "eu" is not installed`},
		{"no API service, for a watch", list + "?watch=true", false, http.StatusNotFound, "404 page not found", http.StatusServiceUnavailable, "is not installed"},
		{"agent down", list, false, http.StatusServiceUnavailable, "service unavailable", http.StatusServiceUnavailable, `the agent of cluster "eu" is not available`},
		{"agent refuses the aggregator", list, true, http.StatusUnauthorized, "{}", http.StatusServiceUnavailable, `the agent of cluster "eu" does not know`},
		{"manager refused", list, false, http.StatusUnauthorized, "Unauthorized", http.StatusServiceUnavailable,
			`the API server of cluster "eu" does not accept the manager's credential`},
		{"manager refused, for a backend", backend, false, http.StatusUnauthorized, "Unauthorized", http.StatusServiceUnavailable, "does not accept the manager's credential"},
		{"manager may not impersonate", backend, false, http.StatusForbidden,
			`{"message":"users \"alice\" is forbidden: User \"m\" cannot impersonate resource"}`, http.StatusServiceUnavailable, "does not accept the manager's credential"},
		{"person may not use the agent", list, false, http.StatusForbidden, `{"message":"cannot get resource \"kubernetes/proxy\""}`, http.StatusForbidden, ""},
		{"API server is busy", list, false, http.StatusTooManyRequests, "later", http.StatusTooManyRequests, ""},
		{"something else answers", list, false, http.StatusOK, "{}", http.StatusServiceUnavailable, "something else in its place"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tc.marked {
					w.Header().Set(doors.AgentHeader, "true")
				}
				w.WriteHeader(tc.code)
				_, _ = w.Write([]byte(tc.body))
			}))
			res := w.send(t, "alice-key", http.MethodGet, "/kubernetes/cluster/eu"+tc.path)
			if res.StatusCode != tc.want {
				t.Errorf("code %d, want %d", res.StatusCode, tc.want)
			}
			if tc.wantWords == "" {
				return
			}
			if s := status(t, res); !strings.Contains(s.Message, tc.wantWords) || res.Header.Get("Retry-After") == "" {
				t.Errorf("message %q, Retry-After %q; want %q", s.Message, res.Header.Get("Retry-After"), tc.wantWords)
			}
		})
	}
}

func TestUpgradeThatNoAgentAnsweredIsRefused(t *testing.T) {
	w := newWorld(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
		_ = conn.Close()
	}))
	res := w.send(t, "alice-key", http.MethodGet, "/kubernetes/cluster/eu/api/v1/namespaces/a/pods/p/exec", func(r *http.Request) {
		r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	})
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("code %d", res.StatusCode)
	}
}
