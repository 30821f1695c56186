package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"loft.sh/agent/test/bench/load"
	"loft.sh/agent/test/bench/result"
	"loft.sh/agent/test/bench/target"
)

// cell is one kind of work at one concurrency by one kind of client.
type cell struct {
	work
	protocol    load.Protocol
	concurrency int
}

func (c cell) key(t *target.Target) result.Key {
	return result.Key{Work: c.name, Client: string(c.protocol), Concurrency: c.concurrency, Target: t.Name}
}

// cells are those that are wanted, in order.
func (b *bench) cells() []cell {
	var cells []cell
	for _, w := range repeated() {
		if !b.wants(w.name) {
			continue
		}
		for _, protocol := range b.protocols() {
			for _, concurrency := range b.opts.Concurrency {
				cells = append(cells, cell{work: w, protocol: protocol, concurrency: concurrency})
			}
		}
	}
	return cells
}

// rounds measures every cell on every target in every round. The first round fills caches.
func (b *bench) rounds(ctx context.Context) error {
	cells := b.cells()
	if len(cells) == 0 {
		return nil
	}
	for round := range b.opts.Rounds + 1 {
		began := time.Now()
		for _, c := range cells {
			if c.slow && round > 0 && round%slowEvery != 1 {
				continue
			}
			for _, t := range b.rotated(round) {
				sample, err := b.measure(ctx, c, t)
				if err != nil {
					return fmt.Errorf("%s on %s, %s, %d workers: %w", c.name, t.Name, c.protocol, c.concurrency, err)
				}
				if round > 0 {
					sample[result.Round] = float64(round)
					b.result.Add(c.key(t), sample)
				}
			}
		}
		if round%10 == 0 {
			b.logf("bench: round %d of %d (%.1fs)", round, b.opts.Rounds, time.Since(began).Seconds())
		}
	}
	return nil
}

// measure does one cell on one target.
func (b *bench) measure(ctx context.Context, c cell, t *target.Target) (result.Sample, error) {
	client, err := b.client(t, c.protocol)
	if err != nil {
		return nil, err
	}
	if err := b.leadIn(ctx, c, client); err != nil {
		return nil, err
	}
	runtime.GC()
	if err := t.ResetPeak(); err != nil {
		return nil, err
	}
	if err := b.env.Upstream.Skip(); err != nil {
		return nil, err
	}
	before, err := t.CPU()
	if err != nil {
		return nil, err
	}
	loop := load.Loop{Concurrency: c.concurrency, Duration: b.opts.Duration, Op: func(ctx context.Context, _ int) error { return c.op(ctx, client) }}
	if c.slow {
		loop.MinOps = max(3, c.concurrency)
	}
	found, err := loop.Run(ctx)
	if err != nil {
		return nil, err
	}
	after, err := t.CPU()
	if err != nil {
		return nil, err
	}
	return b.sample(c, t, found, after-before)
}

// leadIn repeats the work for a while: connections, tokens and decisions are then known everywhere.
func (b *bench) leadIn(ctx context.Context, c cell, client *load.Client) error {
	loop := load.Loop{Concurrency: c.concurrency, Duration: b.opts.Duration / 5, Op: func(ctx context.Context, _ int) error { return c.op(ctx, client) }}
	if c.slow { // one large answer, and connections for all workers
		if err := c.op(ctx, client); err != nil {
			return err
		}
		small := repeated()[0]
		loop.Op = func(ctx context.Context, _ int) error { return small.op(ctx, client) }
	}
	_, err := loop.Run(ctx)
	return err
}

func (b *bench) sample(c cell, t *target.Target, found load.Result, cpu time.Duration) (result.Sample, error) {
	requests := float64(len(found.Latencies) * c.requests)
	sample := result.Sample{
		result.P50:        milliseconds(load.Quantile(found.Latencies, 0.50)),
		result.P99:        milliseconds(load.Quantile(found.Latencies, 0.99)),
		result.Throughput: found.Throughput(),
	}
	if t.PID == 0 {
		return sample, nil
	}
	memory, err := t.Memory()
	if err != nil {
		return nil, err
	}
	count, err := b.env.Upstream.Count(t.User)
	if err != nil {
		return nil, err
	}
	if t.Name == target.Endpoint {
		for what, n := range count.Own {
			b.result.Own[what] += n
		}
	}
	sample[result.CPU] = milliseconds(cpu) / requests
	sample[result.Resident], sample[result.Peak] = mebibytes(memory.Resident), mebibytes(memory.Peak)
	sample[result.Requests], sample[result.Upstream] = requests, float64(count.Requests)
	return sample, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }
