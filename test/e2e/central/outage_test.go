package central

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// TestManagerStopped: the direct way goes on without the centre, also through an agent that starts
// meanwhile.
func TestManagerStopped(t *testing.T) {
	token := alice().token(t, eu)
	s := shared.Connected(eu)
	config := kubeconfig(t, s.EndpointURL()+"/kubernetes/cluster", s.EndpointCA(), token)
	printed(t, config, "get", "namespaces")
	for _, m := range shared.Managers() {
		began := time.Now()
		if err := m.Stop(); err != nil {
			t.Fatal(err)
		}
		t.Logf("a manager ended within %s", time.Since(began).Round(time.Millisecond))
	}
	t.Cleanup(func() { startManagers(t) })
	if a := alice().manager(http.MethodGet, "/version", ""); a.err == nil {
		t.Fatalf("the manager answers: %d", a.code)
	}
	printed(t, config, "get", "namespaces")
	began := time.Now()
	if err := s.RestartAgent(t.Context()); err != nil {
		t.Fatal(err)
	}
	printed(t, config, "get", "namespaces")
	t.Logf("without a manager, and %s after the agent was restarted, kubectl goes on", time.Since(began).Round(time.Millisecond))
}

// startManagers starts every manager that does not run.
func startManagers(t *testing.T) {
	t.Helper()
	for _, m := range shared.Managers() {
		if m.Process().Running() {
			continue
		}
		if err := m.Start(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
}
