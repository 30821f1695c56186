package load

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Loop says how long which operation is repeated by how many workers.
type Loop struct {
	Concurrency int
	// Duration is how long new operations are begun; those under way are awaited.
	Duration time.Duration
	// MinOps are begun in any case, however long that takes.
	MinOps int
	// Op is one operation; worker counts from 0.
	Op func(ctx context.Context, worker int) error
}

// Result of a loop.
type Result struct {
	// Latencies of each operation, in no order.
	Latencies []time.Duration
	// Elapsed from the begin of the first operation to the end of the last.
	Elapsed time.Duration
}

// Throughput in operations a second.
func (r Result) Throughput() float64 {
	return float64(len(r.Latencies)) / r.Elapsed.Seconds()
}

// Run repeats the operation. The first error ends all workers.
func (l Loop) Run(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var begun atomic.Int64
	latencies := make([][]time.Duration, l.Concurrency)
	start := time.Now()
	deadline := start.Add(l.Duration)
	var workers sync.WaitGroup
	for worker := range l.Concurrency {
		workers.Go(func() {
			mine := make([]time.Duration, 0, 4096)
			defer func() { latencies[worker] = mine }()
			for ctx.Err() == nil {
				from := time.Now()
				if begun.Add(1) > int64(l.MinOps) && from.After(deadline) {
					return
				}
				if err := l.Op(ctx, worker); err != nil {
					cancel(err)
					return
				}
				mine = append(mine, time.Since(from))
			}
		})
	}
	workers.Wait()
	result := Result{Elapsed: time.Since(start)}
	for _, mine := range latencies {
		result.Latencies = append(result.Latencies, mine...)
	}
	if err := context.Cause(ctx); err != nil {
		return Result{}, err
	}
	if len(result.Latencies) == 0 {
		return Result{}, errors.New("no operation was done")
	}
	return result, nil
}
