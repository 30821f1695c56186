package load

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

func TestLoopDoesAtLeastWhatIsAsked(t *testing.T) {
	var done atomic.Int64
	result, err := Loop{Concurrency: 4, MinOps: 10, Op: func(context.Context, int) error {
		done.Add(1)
		return nil
	}}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The duration is over at once, so nothing is done beyond.
	if done.Load() != 10 || len(result.Latencies) != 10 {
		t.Errorf("got %d operations and %d latencies, want 10", done.Load(), len(result.Latencies))
	}
}

func TestLoopRunsWorkersAtOnce(t *testing.T) {
	const workers = 8
	arrived, all := make(chan int, workers), make(chan struct{})
	go func() {
		for range workers {
			<-arrived
		}
		close(all)
	}()
	_, err := Loop{Concurrency: workers, MinOps: workers, Op: func(ctx context.Context, worker int) error {
		arrived <- worker
		select {
		case <-all:
			return nil
		case <-time.After(10 * time.Second):
			return errors.New("the other workers do not come")
		}
	}}.Run(t.Context())
	if err != nil {
		t.Error(err)
	}
}

func TestLoopEndsWithTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	_, err := Loop{Concurrency: 3, Duration: time.Hour, Op: func(ctx context.Context, worker int) error {
		if worker == 1 {
			return broken
		}
		<-ctx.Done()
		return ctx.Err()
	}}.Run(t.Context())
	if !errors.Is(err, broken) {
		t.Errorf("got error %v, want %v", err, broken)
	}
}

func TestThroughput(t *testing.T) {
	r := Result{Latencies: make([]time.Duration, 50), Elapsed: 500 * time.Millisecond}
	if got := r.Throughput(); got != 100 {
		t.Errorf("got %v a second, want 100", got)
	}
}
