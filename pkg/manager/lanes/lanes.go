// Package lanes works on named things again and again, so that those in trouble never hold up the others.
//
// There are two lanes, each a work queue with workers of its own. What was found dead goes to the slow
// one, and back when it lives. So a hundred things that answer nobody, each of which takes a worker until
// its time-out, wait for each other alone.
//
// What surprises:
//   - A name is worked on by one worker at a time, whatever lane it comes from.
//   - Add means now: it does not wait for the end of a back-off, since something has changed.
//   - Where a name begins is decided by what the caller remembers of it, so that a new leader
//     does not have to find the dead anew.
package lanes

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// Result is what work came to.
type Result struct {
	// Again is after how long the name is worked on next, more or less; 0: when it is added. After an
	// error the back-off decides instead.
	Again time.Duration
	// Dead puts the name into the slow lane.
	Dead bool
}

// Config describes lanes. Every field is required.
type Config struct {
	// Name is how metrics and logs call them.
	Name string
	// Work works on one name, no longer than its context lasts. It says in the log what failed where
	// nobody else sees it.
	Work func(ctx context.Context, name string) (Result, error)
	// Dead says whether a name that was not worked on before belongs into the slow lane.
	Dead func(name string) bool
	// Workers and SlowWorkers are how many names are worked on at once.
	Workers, SlowWorkers int
	// Timeout bounds the work on a name.
	Timeout time.Duration
	// MinBackoff and MaxBackoff are the first and the longest pause after errors.
	MinBackoff, MaxBackoff time.Duration
	Clock                  clock.WithTicker
}

// busyDelay is when a name is looked at again that another worker works on.
const busyDelay = 100 * time.Millisecond

// Lanes works on names.
type Lanes struct {
	Config
	fast, slow workqueue.TypedDelayingInterface[string]
	backoff    workqueue.TypedRateLimiter[string]

	lock sync.Mutex
	dead map[string]bool // absent: not known yet
	busy map[string]bool
}

// New returns lanes without workers: Run has them.
func New(c Config) *Lanes {
	queue := func(name string) workqueue.TypedDelayingInterface[string] {
		return workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[string]{Name: name, Clock: c.Clock})
	}
	return &Lanes{
		Config: c, fast: queue(c.Name), slow: queue(c.Name + "-slow"),
		backoff: workqueue.NewTypedItemExponentialFailureRateLimiter[string](c.MinBackoff, c.MaxBackoff),
		dead:    map[string]bool{}, busy: map[string]bool{},
	}
}

// Add has a name worked on as soon as a worker is free.
func (l *Lanes) Add(name string) { l.laneOf(name).Add(name) }

// Forget drops what is remembered of a name.
func (l *Lanes) Forget(name string) {
	l.backoff.Forget(name)
	l.lock.Lock()
	defer l.lock.Unlock()
	delete(l.dead, name)
}

// Run works until ctx is done and every worker has ended.
func (l *Lanes) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for queue, count := range map[workqueue.TypedDelayingInterface[string]]int{l.fast: l.Workers, l.slow: l.SlowWorkers} {
		for range count {
			workers.Go(func() {
				for l.next(ctx, queue) {
				}
			})
		}
	}
	<-ctx.Done()
	l.fast.ShutDown()
	l.slow.ShutDown()
	workers.Wait()
}

// laneOf is where a name belongs at the moment.
func (l *Lanes) laneOf(name string) workqueue.TypedDelayingInterface[string] {
	l.lock.Lock()
	dead, known := l.dead[name]
	l.lock.Unlock()
	if !known {
		dead = l.Dead(name)
		l.lock.Lock()
		l.dead[name] = dead
		l.lock.Unlock()
	}
	if dead {
		return l.slow
	}
	return l.fast
}

// next works on one name, and returns false where there will be none.
func (l *Lanes) next(ctx context.Context, queue workqueue.TypedDelayingInterface[string]) bool {
	name, shutdown := queue.Get()
	if shutdown {
		return false
	}
	defer queue.Done(name)
	if ctx.Err() != nil {
		return false
	}
	if lane := l.laneOf(name); lane != queue {
		// It changed lanes since it was put off.
		lane.Add(name)
		return true
	}
	if !l.begin(name) {
		queue.AddAfter(name, busyDelay)
		return true
	}
	l.work(ctx, name)
	return true
}

func (l *Lanes) begin(name string) bool {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.busy[name] {
		return false
	}
	l.busy[name] = true
	return true
}

func (l *Lanes) work(ctx context.Context, name string) {
	begun := l.Clock.Now()
	bounded, stop := context.WithTimeout(ctx, l.Timeout)
	result, err := l.Work(bounded, name)
	stop()
	observe(l.Name, l.Clock.Since(begun), result, err)
	l.lock.Lock()
	delete(l.busy, name)
	l.dead[name] = result.Dead
	l.lock.Unlock()
	if ctx.Err() != nil {
		return
	}
	again := jitter(result.Again)
	if err != nil {
		again = jitter(l.backoff.When(name))
		if !errors.Is(err, context.Canceled) {
			klog.FromContext(ctx).V(2).Info("Work failed, to be done again", "work", l.Name, "cluster", name, "reason", err, "after", again)
		}
	} else {
		l.backoff.Forget(name)
	}
	if again > 0 {
		l.laneOf(name).AddAfter(name, again)
	}
}

// jitter spreads what would otherwise come at one moment: up to a fifth sooner or later.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)*0.4*float64(d))
}
