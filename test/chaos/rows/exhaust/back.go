package exhaust

import (
	"context"
	"time"

	"loft.sh/agent/test/chaos"
)

// recovery is how long after a fault the agent may hold what its clients left.
const recovery = time.Minute

// What the agent may hold beyond what it held before, and not be called leaking: kept connections
// to the API server, which carry up to 100 streams each and idle for a minute, honest clients' own,
// and the memory that the runtime has not yet given back. Each is far less than a share of the fault.
const (
	spareGoroutines, shortSpareGoroutines = 60, 15
	spareFiles, shortSpareFiles           = 30, 10
	spareMiB                              = 25
)

// back checks that the agent is where it was before the fault, within recovery of its end.
func (s *stage) back(ctx context.Context, before, during chaos.Vitals) error {
	goroutines, files := s.Count(spareGoroutines, shortSpareGoroutines), s.Count(spareFiles, shortSpareFiles)
	last := during
	took, err := chaos.Await(ctx, "the agent's vitals", recovery, func(ctx context.Context) bool {
		chaos.Sleep(ctx, time.Second)
		now, err := s.settled(ctx, "heap-after")
		if err != nil {
			return false // busy, or the wait is over
		}
		last = now
		s.Logf("%s", last)
		return last.Goroutines <= before.Goroutines+goroutines &&
			last.Files <= before.Files+files && last.MiB() <= before.MiB()+spareMiB
	})
	detail := ""
	if err != nil {
		detail = s.Goroutines(ctx, s.agent)
	}
	s.result.Hold(err == nil, "back to where it was", took.Round(time.Second).String(), "≤ "+recovery.String(), detail)
	s.result.AtMost("goroutines left", float64(last.Goroutines-before.Goroutines), float64(goroutines), "")
	s.result.AtMost("files left", float64(last.Files-before.Files), float64(files), "")
	s.result.AtMost("memory left", last.MiB()-before.MiB(), spareMiB, " MiB")
	s.result.Note("before: %s; during: %s; after: %s", before, during, last)
	return nil
}
