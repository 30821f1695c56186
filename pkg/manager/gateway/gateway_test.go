package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// received is what an API server saw of a request.
type received struct {
	URI    string
	Header http.Header
}

// recorder answers as an agent does and keeps what it saw.
func recorder(seen chan<- received) http.HandlerFunc {
	return agent(func(w http.ResponseWriter, r *http.Request) {
		seen <- received{r.RequestURI, r.Header.Clone()}
		if r.Header.Get("Upgrade") != "" {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Loft-Agent: true\r\n\r\n")
			_ = conn.Close()
		}
	})
}

// arrived waits for what the API server saw of the request that was answered with res.
func arrived(t *testing.T, seen <-chan received, res *http.Response) received {
	t.Helper()
	select {
	case got := <-seen:
		return got
	case <-time.After(patience):
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("nothing arrived: %d %s", res.StatusCode, body)
		panic("unreachable")
	}
}

// hostile are headers by which a client could pretend to be somebody else, or somewhere else.
var hostile = http.Header{
	"Impersonate-User":       nil, // asked for on its own, in TestClientsImpersonation
	"X-Remote-User":          {"admin"},
	"X-Remote-Group":         {"system:masters"},
	"X-Remote-Extra-A":       {"b"},
	"X-Loft-Agent":           {"true"},
	"X-Loft-Impersonate-Uid": {"0"},
	"X-Forwarded-For":        {"203.0.113.9"},
	"X-Forwarded-Host":       {"evil"},
	"X-Real-Ip":              {"203.0.113.9"},
	"Forwarded":              {"for=203.0.113.9"},
	"Audit-Id":               {"mine"},
	"Proxy-Authorization":    {"Basic eA=="},
}

func TestSmuggledHeadersDoNotArriveAndTheIdentityDoesOnceInFull(t *testing.T) {
	seen := make(chan received, 1)
	w := newWorld(t, recorder(seen))
	want := func(more http.Header) http.Header {
		h := http.Header{
			"Authorization":    {"Bearer managers"},
			"Impersonate-User": {"loft:user:alice"},
			"Impersonate-Uid":  {"uid-alice"},
			"Impersonate-Group": {
				"loft:user:alice", "loft:team:core", "loft:authenticated", "system:authenticated",
			},
			"Impersonate-Extra-Loft.sh%2faccess-Key": {"alice-key"},
			"X-Forwarded-For":                        {"127.0.0.1"},
			"User-Agent":                             {"kubectl"},
			"Accept-Encoding":                        {"gzip"},
		}
		for key, values := range more {
			h[key] = values
		}
		return h
	}
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	for _, tc := range []struct {
		name, method, path string
		header             http.Header
		want               http.Header
	}{
		{"get", http.MethodGet, "/api/v1/pods", nil, want(nil)},
		{"create", http.MethodPost, "/api/v1/namespaces/a/pods", nil, want(http.Header{"Content-Length": {"0"}})},
		{"watch", http.MethodGet, "/api/v1/pods?watch=true", nil, want(nil)},
		{"exec", http.MethodGet, "/api/v1/namespaces/a/pods/p/exec", upgrade, want(upgrade)},
		{"hop by hop", http.MethodGet, "/api/v1/pods", http.Header{"Connection": {"Impersonate-User, Impersonate-Group, Authorization, Impersonate-Uid"}},
			want(nil)},
		{"hop by hop in an upgrade", http.MethodGet, "/api/v1/namespaces/a/pods/p/exec",
			http.Header{"Connection": {"Upgrade, Impersonate-User"}, "Upgrade": {"websocket"}}, want(upgrade)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := w.send(t, "alice-key", tc.method, "/kubernetes/cluster/eu"+tc.path, func(r *http.Request) {
				r.Header.Set("User-Agent", "kubectl")
				for _, headers := range []http.Header{hostile, tc.header} {
					for key, values := range headers {
						if values != nil {
							r.Header[key] = values
						}
					}
				}
			})
			got := arrived(t, seen, res)
			if len(got.Header.Get("Audit-Id")) != 36 {
				t.Errorf("audit ID %q", got.Header["Audit-Id"])
			}
			got.Header.Del("Audit-Id")
			if diff := cmp.Diff(tc.want, got.Header); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if want := agentPath + tc.path; got.URI != want {
				t.Errorf("URI %q, want %q", got.URI, want)
			}
		})
	}
}

func TestClientsImpersonationIsTheAgentsToJudgeAndNeverNested(t *testing.T) {
	seen := make(chan received, 1)
	w := newWorld(t, recorder(seen))
	res := w.send(t, "alice-key", http.MethodGet, "/kubernetes/cluster/eu/api/v1/pods", func(r *http.Request) {
		r.Header["Impersonate-User"] = []string{"admin"}
		r.Header["Impersonate-Group"] = []string{"system:masters"}
		r.Header["Impersonate-Extra-X"] = []string{"y"}
	})
	got := http.Header{}
	for key, values := range arrived(t, seen, res).Header {
		if strings.Contains(key, "Impersonate") {
			got[key] = values
		}
	}
	want := http.Header{
		"Impersonate-User":                       {"loft:user:alice"},
		"Impersonate-Uid":                        {"uid-alice"},
		"Impersonate-Group":                      {"loft:user:alice", "loft:team:core", "loft:authenticated", "system:authenticated"},
		"Impersonate-Extra-Loft.sh%2faccess-Key": {"alice-key"},
		"X-Loft-Impersonate-User":                {"admin"},
		"X-Loft-Impersonate-Group":               {"system:masters"},
		"X-Loft-Impersonate-Extra-X":             {"y"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

func TestWhereRequestsGo(t *testing.T) {
	seen := make(chan received, 1)
	w := newWorld(t, recorder(seen))
	for _, tc := range []struct{ name, key, path, want string }{
		{"the prefix alone", "alice-key", "/kubernetes/cluster/eu", agentPath + "/"},
		{"cluster", "alice-key", "/kubernetes/cluster/eu/api/v1/pods?limit=5", agentPath + "/api/v1/pods?limit=5"},
		{"the agent's own API", "alice-key", "/kubernetes/cluster/eu/apis/cluster.loft.sh/v1/spaces", agentPath + "/apis/cluster.loft.sh/v1/spaces"},
		{"escapes", "alice-key", "/kubernetes/cluster/eu/api/v1/namespaces/a/configmaps/%61bc", agentPath + "/api/v1/namespaces/a/configmaps/%61bc"},
		{"virtual cluster", "alice-key", "/kubernetes/virtualcluster/eu/team-a/dev/api/v1/pods",
			"/apis/cluster.loft.sh/v1/namespaces/team-a/virtualclusters/dev/proxy/api/v1/pods"},
		{"virtual cluster, its key", "dev", "/kubernetes/virtualcluster/eu/team-a/dev/api",
			"/apis/cluster.loft.sh/v1/namespaces/team-a/virtualclusters/dev/proxy/api"},
		{"management API", "alice-key", "/apis/management.loft.sh/v1/clusters/eu/proxy/api/v1/pods", agentPath + "/api/v1/pods"},
		{"space, its key", "team-a", "/kubernetes/cluster/eu/api/v1/namespaces/team-a/pods", agentPath + "/api/v1/namespaces/team-a/pods"},
		{"administrator", "admin-key", "/kubernetes/cluster/eu/api", agentPath + "/api"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := w.send(t, tc.key, http.MethodGet, tc.path)
			if got := arrived(t, seen, res).URI; got != tc.want {
				t.Errorf("URI %q, want %q", got, tc.want)
			}
		})
	}
}

func TestPathsThatLeadNowhere(t *testing.T) {
	w := newWorld(t, agent(func(http.ResponseWriter, *http.Request) { t.Error("forwarded") }))
	for _, tc := range []struct {
		name, path string
		want       int
	}{
		{"no cluster", "/kubernetes/cluster", http.StatusNotFound},
		{"empty cluster", "/kubernetes/cluster//api", http.StatusNotFound},
		{"name that cannot be", "/kubernetes/cluster/EU/api", http.StatusNotFound},
		{"name spelled with escapes", "/kubernetes/cluster/e%75/api%20", http.StatusNotFound},
		{"out of the prefix", "/kubernetes/cluster/eu/../us/api", http.StatusBadRequest},
		{"out of the agent's door", "/kubernetes/cluster/eu/%2e%2e/%2e%2e/api", http.StatusBadRequest},
		{"virtual cluster without a name", "/kubernetes/virtualcluster/eu/team-a", http.StatusNotFound},
		{"space that cannot be", "/kubernetes/virtualcluster/eu/team%3Fa/dev/api", http.StatusNotFound},
		{"virtual cluster out of its space", "/kubernetes/virtualcluster/eu/team-a/dev%2f..%2fx/api", http.StatusBadRequest},
		{"management API, not the proxy", "/apis/management.loft.sh/v1/clusters/eu/proxyfoo", http.StatusNotFound},
		{"loop", "/kubernetes/cluster/eu" + agentPath + agentPath + "/api", http.StatusBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			// As it is written: a client would mend it.
			_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice-key\r\n\r\n", tc.path)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if s := status(t, res); res.StatusCode != tc.want || int(s.Code) != tc.want {
				t.Errorf("%d %q, want %d", res.StatusCode, s.Message, tc.want)
			}
		})
	}
}

func TestRedirectStaysBelowThePrefix(t *testing.T) {
	w := newWorld(t, agent(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Location", agentPath+"/x/")
		rw.WriteHeader(http.StatusMovedPermanently)
	}))
	res := w.send(t, "alice-key", http.MethodGet, "/kubernetes/cluster/eu/x")
	if got, want := res.Header.Get("Location"), "/kubernetes/cluster/eu/x/"; got != want {
		t.Errorf("location %q, want %q", got, want)
	}
	if res.Header.Get("X-Loft-Agent") != "" {
		t.Error("the agent's mark was passed on")
	}
}

func TestConnectionsAreKept(t *testing.T) {
	addresses := make(chan string, 100)
	w := newWorld(t, agent(func(_ http.ResponseWriter, r *http.Request) { addresses <- r.RemoteAddr }))
	seen := map[string]bool{}
	for range 20 {
		_, _ = io.Copy(io.Discard, w.send(t, "alice-key", http.MethodGet, "/kubernetes/cluster/eu/api").Body)
		seen[<-addresses] = true
	}
	if len(seen) != 1 {
		t.Errorf("%d connections for requests one after the other, want 1", len(seen))
	}
}

func TestAuditSaysWhoAndWhichCluster(t *testing.T) {
	w := newWorld(t, agent(func(http.ResponseWriter, *http.Request) {}))
	_, _ = io.Copy(io.Discard, w.send(t, "alice-key", http.MethodGet, "/kubernetes/cluster/eu/api/v1/namespaces/a/pods/p").Body)
	if !eventually(func() bool { w.events.lock.Lock(); defer w.events.lock.Unlock(); return len(w.events.events) >= 2 }) {
		t.Fatal("no audit event")
	}
	event := w.events.events[len(w.events.events)-1]
	got := []string{event.User.Username, event.Verb, event.ObjectRef.Resource, event.ObjectRef.Name, event.Annotations[clusterAnnotation]}
	if diff := cmp.Diff([]string{"loft:user:alice", "get", "pods", "p", "eu"}, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}
