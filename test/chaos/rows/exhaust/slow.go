package exhaust

import (
	"context"
	"time"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/load"
)

// slowRate is what a slow reader takes, in bytes a second.
const slowRate = 1 << 10

func slowReaders(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	s, err := newStage(ctx, env)
	if err != nil {
		return nil, err
	}
	list, err := s.largeObjects(ctx, env.Count(20, 5))
	if err != nil {
		return nil, err
	}
	quiet := s.quiet(ctx)
	if err := chaos.ResetPeak(s.agent); err != nil {
		return nil, err
	}
	count := env.Count(500, 20)
	slow, cancel := context.WithCancel(ctx)
	defer cancel()
	readers := s.target.SlowReaders(slow, list, count, slowRate)
	began := time.Now()
	rate := load.Start(ctx, honestRate, honestTimeout, s.honest)
	chaos.Sleep(ctx, env.Time(75*time.Second, 5*time.Second))
	reading := readers.Reading.Load()
	during := rate.Stop()
	cancel()
	readers.Wait()

	opened, refused := readers.Opened.Load(), readers.Refused.Load()
	s.result.AtLeast("slow answers begun or refused", float64(opened+refused), float64(count), "")
	s.unharmed(quiet, settledIn(during, began, env.Time(10*time.Second, 0)), 2*quiet.Quantile(0.99))
	if err := s.peak(); err != nil {
		return nil, err
	}
	beginning := during.Where(func(a load.Sample) bool { return a.At.Before(began.Add(10 * time.Second)) })
	s.result.None("honest requests failed while the readers came", len(beginning.Failed()), beginning.Failed().Examples())
	s.result.Note("slow readers: %d answers begun, %d refused, %d cut off by the server; %d were reading at the end; honest p99 in the first 10 s, while their lists began, %s",
		opened, refused, readers.Ended.Load(), reading, beginning.Quantile(0.99))
	return s.result, nil
}

// settledIn keeps what was sent later than after the beginning.
func settledIn(samples load.Samples, began time.Time, after time.Duration) load.Samples {
	return samples.Where(func(a load.Sample) bool { return !a.At.Before(began.Add(after)) })
}
