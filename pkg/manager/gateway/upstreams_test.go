package gateway

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"

	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/manager/connection"
)

func callerOf(info user.Info) *door.Caller { return &door.Caller{User: info} }

func request(t *testing.T) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
}

func targetAt(t testing.TB, w *world, path string) *door.Target {
	t.Helper()
	target, err := door.Parse(httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil), w.gateway.locate, Hint)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// named answers with a name.
func naming(name string) http.HandlerFunc {
	return agent(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) })
}

func (w *world) ask(t *testing.T) string {
	t.Helper()
	body, err := io.ReadAll(w.send(t, "alice-key", http.MethodGet, "/kubernetes/cluster/eu/api").Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestChangedKubeconfigCountsWithinSeconds(t *testing.T) {
	w := newWorld(t, naming("old"))
	if got := w.ask(t); got != "old" {
		t.Fatalf("answer %q", got)
	}
	w.connections.set("eu", serve(t, naming("new")))
	if !eventually(func() bool { return w.ask(t) == "new" }) {
		t.Errorf("answer %q", w.ask(t))
	}
}

func TestOpenWatchEndsWithItsConnection(t *testing.T) {
	w := newWorld(t, watching(nil))
	res := w.send(t, "alice-key", http.MethodGet, "/kubernetes/cluster/eu/api/v1/pods?watch=true")
	lines := bufio.NewReader(res.Body)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	w.connections.set("eu", serve(t, naming("new")))
	// Its client opens it anew, so there is no event.
	if line, err := lines.ReadString('\n'); !errors.Is(err, io.EOF) || line != "" {
		t.Errorf("%q, %v; want a clean end", line, err)
	}
}

func TestConnectionsStayWhatTheyAre(t *testing.T) {
	w := newWorld(t, naming("eu"))
	before := w.gateway.upstreams.get("eu")
	broken := w.gateway.upstreams.get("broken")
	for _, tc := range []struct {
		name string
		do   func()
	}{
		{"nothing has changed", func() {}},
		{"the same in another object", func() { w.connections.set("eu", rest.CopyConfig(before.config)) }},
		{"the Secret cannot be read for a while", func() { w.connections.failing = connection.ReasonSecretUnreadable }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.do()
			w.gateway.upstreams.refresh(t.Context())
			if w.gateway.upstreams.get("eu") != before {
				t.Error("connected anew")
			}
		})
	}
	w.connections.failing = ""
	w.gateway.upstreams.refresh(t.Context())
	if w.gateway.upstreams.refresh(t.Context()) {
		t.Error("a second look finds a change")
	}
	if now := w.gateway.upstreams.get("broken"); now.problem != broken.problem || now.forwarder != nil {
		t.Errorf("problem %q, want %q", now.problem, broken.problem)
	}
}

func TestSecretThatIsGoneEndsTheConnection(t *testing.T) {
	w := newWorld(t, naming("eu"))
	w.connections.set("eu", nil)
	w.gateway.upstreams.refresh(t.Context())
	res := w.send(t, "alice-key", http.MethodGet, "/kubernetes/cluster/eu/api")
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("code %d", res.StatusCode)
	}
}

func TestNewAndDeletedClustersCountAtOnce(t *testing.T) {
	w := newWorld(t, naming("eu"))
	w.connections.set("new", serve(t, naming("new")))
	if _, err := w.storage.Clusters().Create(t.Context(), cluster("new"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	code := func() int {
		res := w.send(t, "admin-key", http.MethodGet, "/kubernetes/cluster/new/api")
		_ = res.Body.Close()
		return res.StatusCode
	}
	if !eventually(func() bool { return code() == http.StatusOK }) {
		t.Errorf("code %d of a new cluster", code())
	}
	if err := w.storage.Clusters().Delete(t.Context(), "new", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool { return code() == http.StatusForbidden }) {
		t.Errorf("code %d of a deleted cluster", code())
	}
}
