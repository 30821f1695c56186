package door

import "testing"

func TestOneClusterTakesAShareAndLeavesTheRest(t *testing.T) {
	s := newShares(2)
	for i, step := range []struct {
		cluster string
		leave   bool
		want    bool
	}{
		{cluster: "silent", want: true},
		{cluster: "silent", want: true},
		{cluster: "silent", want: false},
		{cluster: "live", want: true},
		{cluster: "silent", leave: true},
		{cluster: "silent", want: true},
		{cluster: "", want: true},
		{cluster: "", want: true},
		{cluster: "", want: true},
	} {
		if step.leave {
			s.leave(step.cluster)
		} else if got := s.take(step.cluster); got != step.want {
			t.Errorf("step %d: %q took a share: %t, want %t", i, step.cluster, got, step.want)
		}
	}
	for _, cluster := range []string{"silent", "silent", "live", ""} {
		s.leave(cluster)
	}
	if len(s.taken) != 0 {
		t.Errorf("%v taken after all have left", s.taken)
	}
}
