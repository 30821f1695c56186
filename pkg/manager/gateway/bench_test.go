package gateway

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"loft.sh/agent/pkg/door"
)

// BenchmarkPermit is what the gateway adds to a request before it is forwarded, and BenchmarkStill what
// one open stream costs each time that it is asked about.
func BenchmarkPermit(b *testing.B) {
	w, caller, target := benchWorld(b)
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/", nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.gateway.keeper.Permit(r, caller, target); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStill(b *testing.B) {
	w, caller, target := benchWorld(b)
	b.ReportAllocs()
	for b.Loop() {
		if end := w.gateway.keeper.Still(caller, target); end != nil {
			b.Fatal(end)
		}
	}
}

func BenchmarkLocate(b *testing.B) {
	w, _, _ := benchWorld(b)
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/kubernetes/cluster/eu/api/v1/pods", nil)
	b.ReportAllocs()
	for b.Loop() {
		if d, err := w.gateway.locate(r); err != nil || d.Forwarder == nil {
			b.Fatal(err)
		}
	}
}

func benchWorld(b *testing.B) (*world, *door.Caller, *door.Target) {
	b.Helper()
	w := newWorld(b, agent(func(http.ResponseWriter, *http.Request) {}))
	u, err := w.policy.User("alice")
	if err != nil {
		b.Fatal(err)
	}
	k, err := w.policy.AccessKey("alice-key")
	if err != nil {
		b.Fatal(err)
	}
	return w, callerOf(w.policy.UserInfo(u, k)), targetAt(b, w, "/kubernetes/cluster/eu/api/v1/pods")
}
