package exhaust

import (
	"context"
	"fmt"
	"strings"
	"time"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/load"
)

// mayIdle is how long the agent may keep a connection that says nothing.
const mayIdle = 35 * time.Second

func halfSaid(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	s, err := newStage(ctx, env)
	if err != nil {
		return nil, err
	}
	quiet := s.quiet(ctx)
	before, err := s.baseline(ctx)
	if err != nil {
		return nil, err
	}
	if err := chaos.ResetPeak(s.agent); err != nil {
		return nil, err
	}
	rate := load.Start(ctx, honestRate, honestTimeout, s.honest)
	closings := s.target.BeginAndWait(ctx, env.Count(5000, 550), mayIdle+10*time.Second)
	during := rate.Stop()

	var slowest time.Duration
	var count, open int
	var lines []string
	for _, c := range closings {
		count, open, slowest = count+c.Count, open+c.Open, max(slowest, c.Slowest)
		lines = append(lines, c.String())
	}
	s.result.AtLeast("connections begun", float64(count), float64(env.Count(5000, 550)), "")
	s.result.Hold(open == 0 && slowest <= mayIdle, "slowest closed", slowest.Round(100*time.Millisecond).String(),
		"≤ "+mayIdle.String(), fmt.Sprintf("%d still open\n%s", open, strings.Join(lines, "\n")))
	s.unharmed(quiet, during, usable)
	if err := s.peak(); err != nil {
		return nil, err
	}
	s.result.Note("%s", strings.Join(lines, "\n  "))
	return s.result, s.back(ctx, before, before)
}
