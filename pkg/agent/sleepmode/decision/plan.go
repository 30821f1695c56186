package decision

import (
	"time"

	"loft.sh/agent/pkg/agent/sleepmode/schedule"
)

// plan is where a namespace is in a schedule.
type plan struct {
	// fired is set where the schedule fired at an announced time, or after one; last is when it did last.
	fired bool
	last  time.Time
	// next is when it fires next, in Unix seconds; nil: never.
	next *int64
}

// follow finds out where now is in s, which was last announced to fire at announced.
func follow(announced *int64, s *schedule.Schedule, now time.Time) plan {
	if s == nil {
		return plan{}
	}
	var p plan
	if next := s.Next(now); !next.IsZero() {
		unix := next.Unix()
		p.next = &unix
	}
	if announced == nil || *announced > now.Unix() {
		return p
	}
	// A time at which the schedule doesn't fire was announced by another one, before somebody changed it.
	if first := time.Unix(*announced, 0); s.Fires(first) {
		p.last, p.fired = s.Last(first.Add(-time.Second), now)
	}
	return p
}
