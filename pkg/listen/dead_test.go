package listen

import (
	"net"
	"net/http"
	"testing"
	"time"
)

func TestEndDead(t *testing.T) {
	s := start(t, http.NotFoundHandler(), false, nil)
	c := s.dial(t)
	await(t, "accepted", func() bool { return s.Listener.Open() == 1 })
	silent, heard := func(*net.TCPConn) bool { return true }, func(*net.TCPConn) bool { return false }
	now := time.Now()
	for _, step := range []struct {
		after time.Duration
		state func(*net.TCPConn) bool
		want  int
	}{
		{0, silent, 1},
		{deadAfter - time.Second, silent, 1},
		{deadAfter, heard, 1},
		{2 * deadAfter, silent, 1}, // heard of in between: counted anew
		{3*deadAfter - time.Second, silent, 1},
		{3 * deadAfter, silent, 0},
	} {
		s.Listener.endDead(now.Add(step.after), step.state)
		if open := s.Listener.Open(); open != step.want {
			t.Fatalf("after %s: %d connections open, want %d", step.after, open, step.want)
		}
	}
	awaitClosed(t, c)
}
