package lanes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
)

// start runs lanes until the test ends.
func start(t *testing.T, c Config) *Lanes {
	t.Helper()
	c.Name, c.Timeout, c.Clock = "test", time.Minute, clock.RealClock{}
	if c.Dead == nil {
		c.Dead = func(string) bool { return false }
	}
	if c.MinBackoff == 0 {
		c.MinBackoff, c.MaxBackoff = time.Millisecond, 10*time.Millisecond
	}
	if c.Workers == 0 {
		c.Workers, c.SlowWorkers = 2, 2
	}
	l := New(c)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return l
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 30*time.Second, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestErrorsAreRepeated(t *testing.T) {
	var tries atomic.Int32
	l := start(t, Config{Work: func(context.Context, string) (Result, error) {
		if tries.Add(1) < 4 {
			return Result{}, errors.New("not yet")
		}
		return Result{}, nil
	}})
	l.Add("a")
	await(t, "the fourth try", func() bool { return tries.Load() == 4 })
}

func TestAgain(t *testing.T) {
	var tries atomic.Int32
	l := start(t, Config{Work: func(context.Context, string) (Result, error) {
		tries.Add(1)
		return Result{Again: time.Millisecond}, nil
	}})
	l.Add("a")
	await(t, "some more times", func() bool { return tries.Load() > 3 })
}

// TestTheDeadHoldNobodyUp has more dead names than workers, each of which takes its worker for good.
func TestTheDeadHoldNobodyUp(t *testing.T) {
	var alive atomic.Int32
	l := start(t, Config{
		Dead: func(name string) bool { return name[0] == 'd' },
		Work: func(ctx context.Context, name string) (Result, error) {
			if name[0] == 'd' {
				<-ctx.Done()
				return Result{Dead: true}, errors.New("dead")
			}
			alive.Add(1)
			return Result{}, nil
		},
	})
	for i := range 20 {
		l.Add(fmt.Sprintf("dead-%d", i))
	}
	for i := range 20 {
		l.Add(fmt.Sprintf("alive-%d", i))
	}
	await(t, "the living", func() bool { return alive.Load() == 20 })
}

func TestWhoeverLivesAgainChangesLanes(t *testing.T) {
	var dead atomic.Bool
	dead.Store(true)
	l := start(t, Config{Work: func(context.Context, string) (Result, error) {
		if dead.Load() {
			return Result{Dead: true}, errors.New("dead")
		}
		return Result{}, nil
	}})
	slow := func(want bool) func() bool {
		return func() bool { return (l.laneOf("a") == l.slow) == want }
	}
	l.Add("a")
	await(t, "the slow lane", slow(true))
	dead.Store(false)
	await(t, "the fast lane", slow(false))
}

// TestOneWorkerForAName changes lanes all the time.
func TestOneWorkerForAName(t *testing.T) {
	var lock sync.Mutex
	working, overlaps, runs := map[string]bool{}, 0, 0
	l := start(t, Config{Workers: 4, SlowWorkers: 4, Work: func(_ context.Context, name string) (Result, error) {
		lock.Lock()
		if working[name] {
			overlaps++
		}
		working[name] = true
		runs++
		dead := runs%2 == 0
		lock.Unlock()
		defer func() { lock.Lock(); working[name] = false; lock.Unlock() }()
		return Result{Dead: dead, Again: time.Microsecond}, nil
	}})
	await(t, "many runs", func() bool {
		l.Add("a")
		lock.Lock()
		defer lock.Unlock()
		return runs > 500
	})
	lock.Lock()
	defer lock.Unlock()
	if overlaps > 0 {
		t.Errorf("%d times two workers worked on one name", overlaps)
	}
}

func TestWorkIsBounded(t *testing.T) {
	bounded := make(chan bool, 1)
	l := New(Config{Name: "test", Timeout: time.Millisecond, Clock: clock.RealClock{}, MinBackoff: time.Hour, MaxBackoff: time.Hour,
		Dead: func(string) bool { return false },
		Work: func(ctx context.Context, _ string) (Result, error) {
			<-ctx.Done()
			bounded <- true
			return Result{}, ctx.Err()
		}})
	l.work(t.Context(), "a")
	if !<-bounded {
		t.Error("no time-out")
	}
}
