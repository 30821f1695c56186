package clusters

import (
	"net/http"
	"testing"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/test/fakehost"
)

func TestReady(t *testing.T) {
	kubernetes := func(status string) http.HandlerFunc {
		return answer(200, `{"kind":"Kubernetes","apiVersion":"cluster.loft.sh/v1","metadata":{"name":"cluster"},"status":`+status+`}`)
	}
	available := func(status string) map[string]any {
		return map[string]any{"conditions": []any{map[string]any{"type": "Available", "status": status, "reason": "FailedDiscoveryCheck", "message": "port 12345"}}}
	}
	for _, tt := range []struct {
		name   string
		change func(*fakehost.Host)
		want   string
	}{
		{"ready", func(*fakehost.Host) {}, "True Ready"},
		{"aggregator has not tried", func(h *fakehost.Host) { h.SetStatus(apiServicePath, nil) }, "False APIServiceUnavailable"},
		{"aggregator does not reach it", func(h *fakehost.Host) { h.SetStatus(apiServicePath, available("False")) }, "False APIServiceUnavailable"},
		{"unavailable without a reason", func(h *fakehost.Host) {
			h.SetStatus(apiServicePath, map[string]any{"conditions": []any{map[string]any{"type": "Available", "status": "False"}}})
		}, "False APIServiceUnavailable"},
		{"no answer", func(h *fakehost.Host) { h.Answer("GET", agentPath, nil) }, "False AgentUnreachable"},
		{"answer of something else", func(h *fakehost.Host) { h.Answer("GET", agentPath, answer(200, "ok")) }, "False AgentUnreachable"},
		{"not ready", func(h *fakehost.Host) {
			h.Answer("GET", agentPath, kubernetes(`{"conditions":[{"type":"Ready","status":"False","reason":"NoBundle"}]}`))
		}, "False AgentNotReady"},
		{"says nothing", func(h *fakehost.Host) { h.Answer("GET", agentPath, kubernetes(`{}`)) }, "False AgentNotReady"},
		{"agent of another cluster", func(h *fakehost.Host) {
			h.Answer("GET", agentPath, kubernetes(`{"hostUID":"host-us","conditions":[{"type":"Ready","status":"True"}]}`))
		}, "False AnotherCluster"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, quick())
			host, cluster := w.add(t, "eu")
			tt.change(host)
			w.create(t, cluster)
			w.run(t)
			w.await(t, "eu", storagev1.ConditionAgentReady, tt.want)
		})
	}
}

func TestAgentVersionIsTheAgentsOwn(t *testing.T) {
	w := newWorld(t, quick())
	_, cluster := w.add(t, "eu")
	w.create(t, cluster)
	w.run(t)
	if got := w.await(t, "eu", storagev1.ConditionAgentReady, "True Ready"); got.Status.AgentVersion != "v0.9.0" {
		t.Errorf("version %q", got.Status.AgentVersion)
	}
}
