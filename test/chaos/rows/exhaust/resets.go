package exhaust

import (
	"context"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/load"
)

// floods is on how many connections at a time a flood comes.
const floods = 10

func resets(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
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
	defer rate.Stop()
	count := env.Count(50_000, 5_000)
	stranger := s.target
	stranger.Token = ""
	known, err := s.target.Flood(ctx, "/api/v1/namespaces/default", count, floods)
	if err != nil {
		return nil, err
	}
	unknown, err := stranger.Flood(ctx, "/api/v1/namespaces/default", count, floods)
	if err != nil {
		return nil, err
	}
	during := rate.Stop()
	s.result.AtLeast("resets sent", float64(known.Sent.Load()+unknown.Sent.Load()), float64(2*count), "")
	s.unharmed(quiet, during, usable)
	if err := s.peak(); err != nil {
		return nil, err
	}
	s.result.Note("with a token: %s", known)
	s.result.Note("without: %s", unknown)
	return s.result, s.back(ctx, before, before)
}
