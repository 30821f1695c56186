package door

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilwaitgroup "k8s.io/apimachinery/pkg/util/waitgroup"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// allSeries are the values of all counters there are, by family and labels.
func allSeries(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetName() + "=" + label.GetValue()
			}
			found[name] = m.GetCounter().GetValue()
		}
	}
	return found
}

// try sends a request and reads the answer to its end.
func (d testDoor) try(t *testing.T, method, path string, header http.Header) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, d.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	// As it is written: what is no URL must not be mended here.
	req.URL.Opaque = path
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// TestClientCannotMakeNewSeries tries everything that a client can vary, and looks at every metric
// of the process, since each series is kept for as long as the agent runs.
func TestClientCannotMakeNewSeries(t *testing.T) {
	host := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "invented") {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	d := newDoor(t, host, allow)
	// The audit sink of the door holds so many and no more.
	go func() {
		for range d.audit.added {
		}
	}()
	attacks := []struct {
		name string
		send func(i int) (method, path string, header http.Header)
	}{
		{"methods", func(i int) (string, string, http.Header) { return fmt.Sprint("INVENTED", i), "/version", nil }},
		{"methods for a resource", func(i int) (string, string, http.Header) {
			return fmt.Sprint("INVENTED", i), "/api/v1/pods", nil
		}},
		{"groups", func(i int) (string, string, http.Header) {
			return "GET", fmt.Sprintf("/apis/invented%d/v1/pods", i), nil
		}},
		{"resources", func(i int) (string, string, http.Header) { return "GET", fmt.Sprintf("/api/v1/invented%d", i), nil }},
		{"broken UTF-8", func(i int) (string, string, http.Header) { return "GET", fmt.Sprintf("/api/v1/invented%%ff%d", i), nil }},
		{"subresources", func(i int) (string, string, http.Header) {
			return "GET", fmt.Sprintf("/api/v1/namespaces/a/pods/b/invented%d", i), nil
		}},
		{"paths", func(i int) (string, string, http.Header) { return "GET", fmt.Sprintf("/invented%d", i), nil }},
		{"names", func(i int) (string, string, http.Header) {
			return "GET", fmt.Sprintf("/api/v1/namespaces/n%d/pods/p%d", i, i), nil
		}},
		{"queries", func(i int) (string, string, http.Header) {
			return "GET", fmt.Sprintf("/api/v1/pods?dryRun=%d&fieldValidation=%d&x%d=1", i, i, i), nil
		}},
		{"headers", func(i int) (string, string, http.Header) {
			v := fmt.Sprint("invented", i)
			return "GET", "/version", http.Header{"User-Agent": {v}, "Accept": {v}, "Content-Type": {v}, "Host": {v}, "Traceparent": {v}}
		}},
		{"strangers' tokens", func(i int) (string, string, http.Header) {
			return "GET", "/version", http.Header{"Authorization": {fmt.Sprint("Basic ", i)}}
		}},
		{"impersonated users", func(i int) (string, string, http.Header) {
			return "GET", "/version", http.Header{"Impersonate-User": {fmt.Sprint("invented", i)}}
		}},
	}
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			send := func(i int) {
				method, path, header := attack.send(i)
				if header == nil {
					header = http.Header{}
				}
				if header.Get("Authorization") == "" {
					header.Set("Authorization", "Bearer "+d.token)
				}
				d.try(t, method, testPrefix+path, header)
			}
			send(0)
			before := allSeries(t)
			for i := range 50 {
				send(i + 1)
			}
			for name := range allSeries(t) {
				if _, known := before[name]; !known {
					t.Errorf("new series %s", name)
				}
			}
		})
	}
}

func TestRefusalsAreCounted(t *testing.T) {
	d := newDoor(t, http.NotFoundHandler(), allow)
	for _, tc := range []struct {
		name, path, token, want string
		wantCode                int
	}{
		{"path that is not clear", "/api//v1/pods", d.token, "verb=other", http.StatusBadRequest},
		{"stranger", "/api/v1/pods", "x", "verb=list", http.StatusUnauthorized},
		{"not there", "/api/v1/pods", d.token, "verb=list", http.StatusNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := allSeries(t)
			header := http.Header{"Authorization": {"Basic " + tc.token}}
			if tc.token == d.token {
				header.Set("Authorization", "Bearer "+d.token)
			}
			if code := d.try(t, http.MethodGet, testPrefix+tc.path, header); code != tc.wantCode {
				t.Fatalf("code %d, want %d", code, tc.wantCode)
			}
			for name, value := range allSeries(t) {
				if strings.HasPrefix(name, "loft_test_requests_total") && value > before[name] &&
					strings.Contains(name, tc.want) && strings.Contains(name, fmt.Sprint("code=", tc.wantCode)) {
					return
				}
			}
			t.Errorf("no series with %s and code %d has grown", tc.want, tc.wantCode)
		})
	}
}

// logged is what do logs at verbosity v.
func logged(t *testing.T, v string, do func()) string {
	t.Helper()
	var lock sync.Mutex
	var out bytes.Buffer
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	klog.InitFlags(flags)
	state := klog.CaptureState()
	defer state.Restore()
	if err := errors.Join(flags.Set("logtostderr", "false"), flags.Set("v", v)); err != nil {
		t.Fatal(err)
	}
	klog.SetOutput(writerFunc(func(p []byte) (int, error) {
		lock.Lock()
		defer lock.Unlock()
		return out.Write(p)
	}))
	do()
	klog.Flush()
	lock.Lock()
	defer lock.Unlock()
	return out.String()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestAccessLogHoldsNoSecret(t *testing.T) {
	d := newDoor(t, http.NotFoundHandler(), allow)
	request := func() {
		d.try(t, http.MethodGet, testPrefix+"/api/v1/namespaces/a/pods/b?command=secret", http.Header{"Authorization": {"Bearer " + d.token}})
		d.audit.last(t)
	}
	if got := logged(t, "2", request); strings.Contains(got, `"Request"`) {
		t.Errorf("at verbosity 2 there is an access log: %s", got)
	}
	got := logged(t, "3", request)
	for _, want := range []string{`"Request"`, `door="direct"`, `method="GET"`, `path="/api/v1/namespaces/a/pods/b"`,
		`user="loft:user:alice"`, `code=404`, `duration="`, `auditID="` + string(d.audit.last(t).AuditID) + `"`} {
		if !strings.Contains(got, want) {
			t.Errorf("the access log lacks %s: %s", want, got)
		}
	}
	for _, secret := range []string{"secret", d.token} {
		if strings.Contains(got, secret) {
			t.Errorf("the access log holds %q: %s", secret, got)
		}
	}
}

func TestCrashIsAnsweredCountedAndLoggedWithItsAuditID(t *testing.T) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	// Without an authenticator the chain crashes.
	handler := New(Config{
		Name: "direct", Locate: At(testPrefix, nil), InFlight: &utilwaitgroup.SafeWaitGroup{}, Serializer: serializer.NewCodecFactory(scheme),
		Lifetimes: NewLifetimes(nil, "agent", clock.RealClock{}), Metrics: testMetrics,
	})
	before := allSeries(t)
	answer := httptest.NewRecorder()
	got := logged(t, "0", func() {
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, testPrefix+"/version?secret=1", nil))
	})
	var status metav1.Status
	if err := json.Unmarshal(answer.Body.Bytes(), &status); err != nil || answer.Code != http.StatusInternalServerError || status.Reason != metav1.StatusReasonInternalError {
		t.Errorf("answer %d %s: %v", answer.Code, answer.Body, err)
	}
	for _, want := range []string{`"Request crashed"`, `path="/version"`, `auditID="` + answer.Header().Get("Audit-Id") + `"`, "filter_authentication.go"} {
		if !strings.Contains(got, want) {
			t.Errorf("the log lacks %s: %s", want, got)
		}
	}
	if strings.Contains(got, "secret") {
		t.Errorf("the log holds the query: %s", got)
	}
	const name = "loft_test_handler_panics_total door=direct"
	if after := allSeries(t); after[name] != before[name]+1 {
		t.Errorf("%s: %v, before %v", name, after[name], before[name])
	}
}

func TestCrashAfterAnAnswerBeganCutsItOff(t *testing.T) {
	c := &Config{Locate: At(testPrefix, nil), requests: testMetrics.Requests("direct")}
	server := httptest.NewServer(c.withTarget(c.withMetrics(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		panic("in the middle")
	}))))
	t.Cleanup(server.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+testPrefix+"/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("half an answer was taken for a whole one")
	}
}
