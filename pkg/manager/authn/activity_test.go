package authn

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/wait"
	testingclock "k8s.io/utils/clock/testing"
)

func TestActivityIsWrittenOnceAMinute(t *testing.T) {
	clock := testingclock.NewFakeClock(epoch)
	a := NewActivity(nil, clock)
	var written []time.Duration
	for range 130 {
		a.touch("k", clock.Now())
		for range a.due(writePeriod) {
			written = append(written, clock.Now().Sub(epoch))
		}
		clock.Step(time.Second)
	}
	if diff := cmp.Diff([]time.Duration{0, time.Minute, 2 * time.Minute}, written); diff != "" {
		t.Errorf("written at (-want +got):\n%s", diff)
	}
}

func TestUnusedKeysAreForgotten(t *testing.T) {
	clock := testingclock.NewFakeClock(epoch)
	a := NewActivity(nil, clock)
	a.touch("k", clock.Now())
	a.due(writePeriod)
	clock.Step(forgetAfter + time.Second)
	a.due(writePeriod)
	if len(a.used) != 0 {
		t.Errorf("%d keys are remembered", len(a.used))
	}
}

func TestWhatIsLeftIsWrittenAtTheEnd(t *testing.T) {
	storage := newStorage(t, newKey("k", "alice", nil))
	a := NewActivity(storage.StorageV1().AccessKeys(), testingclock.NewFakeClock(epoch))
	a.touch("k", epoch)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.Run(ctx)
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		for _, action := range storage.Actions() {
			if action.GetSubresource() == "status" && action.GetVerb() == "patch" {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		t.Errorf("not written: %v", storage.Actions())
	}
}
