package gateway

import (
	"testing"
	"time"

	"loft.sh/agent/pkg/proxy"
)

func TestOneRequestAtATimeFindsOutWhetherASilentClusterAnswers(t *testing.T) {
	var s silence
	start := time.Now()
	at := start.Add
	s.answered(start)
	s.failed(proxy.FailureTimeout, at(time.Second))
	if !s.mayTry(at(time.Second)) {
		t.Error("one late answer of a cluster that answers others is taken for silence")
	}
	s.failed(proxy.FailureReset, at(time.Minute))
	if !s.mayTry(at(time.Minute)) {
		t.Error("a connection that broke is taken for silence")
	}
	s.failed(proxy.FailureDial, at(time.Minute))
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{
		{0, false}, {tryPeriod - 1, false}, {tryPeriod, true}, {tryPeriod, false}, {2*tryPeriod - 1, false}, {2 * tryPeriod, true},
	} {
		if got := s.mayTry(at(time.Minute + step.after)); got != step.want {
			t.Errorf("after %s: %t, want %t", step.after, got, step.want)
		}
	}
	s.answered(at(2 * time.Minute))
	if !s.mayTry(at(2 * time.Minute)) {
		t.Error("still silent after an answer")
	}
}
