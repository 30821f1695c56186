package authn

import (
	"fmt"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"
)

func TestLimiter(t *testing.T) {
	clock := testingclock.NewFakeClock(epoch)
	l := NewLimiter(2, 0.5, clock)
	steps := []struct {
		name    string
		address string
		after   time.Duration
		want    time.Duration
	}{
		{"first", "10.0.0.1", 0, 0},
		{"second", "10.0.0.1", 0, 0},
		{"one too many", "10.0.0.1", 0, 2 * time.Second},
		{"another address", "10.0.0.2", 0, 0},
		{"half a turn later", "10.0.0.1", time.Second, time.Second},
		{"a turn later", "10.0.0.1", time.Second, 0},
		{"nothing is saved beyond the burst", "10.0.0.1", time.Hour, 0},
		{"the burst", "10.0.0.1", 0, 0},
		{"and no more", "10.0.0.1", 0, 2 * time.Second},
		{"an IPv6 address", "2001:db8::1", 0, 0},
		{"its neighbour", "2001:db8::2", 0, 0},
		{"their network", "2001:db8::3", 0, 2 * time.Second},
		{"another network", "2001:db8:0:1::1", 0, 0},
		{"an IPv4 address in IPv6", "::ffff:10.0.0.9", 0, 0},
	}
	for _, step := range steps {
		clock.Step(step.after)
		if got := l.take(step.address); got != step.want {
			t.Fatalf("%s: wait %s, want %s", step.name, got, step.want)
		}
	}
}

func TestWhatIsGivenBackIsNoFailure(t *testing.T) {
	l := NewLimiter(1, 1, testingclock.NewFakeClock(epoch))
	for i := range 5 {
		if wait := l.take("a"); wait != 0 {
			t.Fatalf("attempt %d must wait %s", i, wait)
		}
		l.giveBack("a")
	}
	l.giveBack("a")
	l.take("a")
	if l.take("a") == 0 {
		t.Error("giving back makes more than the burst")
	}
}

func TestLimiterForgetsAddresses(t *testing.T) {
	l := NewLimiter(1, 1, testingclock.NewFakeClock(epoch))
	for i := range maxAddresses + 100 {
		l.take(fmt.Sprintf("host-%d", i))
	}
	if got := l.buckets.Len(); got > maxAddresses {
		t.Errorf("%d addresses are remembered, want %d at most", got, maxAddresses)
	}
}
