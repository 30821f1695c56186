package door

import (
	"context"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"loft.sh/agent/pkg/proxy/streams"
)

func TestOpenStreamEndsWithItsAccess(t *testing.T) {
	end := &streams.End{Message: "over"}
	for _, tc := range []struct {
		name string
		do   func(*clocktesting.FakeClock, chan struct{})
	}{
		{"its expiry passed", func(clock *clocktesting.FakeClock, _ chan struct{}) { clock.Step(2 * time.Hour) }},
		{"something changed", func(_ *clocktesting.FakeClock, changed chan struct{}) { close(changed) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(time.Now())
			leaver := &Caller{Expiry: clock.Now().Add(time.Hour)}
			stayer := &Caller{Expiry: clock.Now().Add(time.Hour)}
			access := &decide{changed: make(chan struct{}), still: func(caller *Caller) *streams.End {
				if caller == leaver {
					return end
				}
				return nil
			}}
			lifetimes := NewLifetimes(access, "test", clock)
			ended, release := lifetimes.track(t.Context(), &lifetime{caller: leaver})
			defer release()
			goesOn, release := lifetimes.track(t.Context(), &lifetime{caller: stayer})
			defer release()
			running, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); lifetimes.Run(running) }()
			for !clock.HasWaiters() {
				select {
				case <-done:
					t.Fatal("Run returned")
				default:
				}
			}
			if ended.Err() != nil {
				t.Fatal("ended before its access")
			}
			tc.do(clock, access.changed)
			<-ended.Done()
			if got := streams.EndOf(ended); got != end {
				t.Errorf("end %v, want %v", got, end)
			}
			stop()
			<-done
			if goesOn.Err() != nil {
				t.Error("a stream that access is still given to ended, too")
			}
		})
	}
}

func TestReleasedStreamIsForgotten(t *testing.T) {
	lifetimes := NewLifetimes(allow, "test", clocktesting.NewFakeClock(time.Now()))
	ctx, release := lifetimes.track(t.Context(), &lifetime{caller: &Caller{}})
	release()
	if len(lifetimes.open) != 0 || ctx.Err() == nil {
		t.Errorf("%d streams kept, context error %v", len(lifetimes.open), ctx.Err())
	}
}
