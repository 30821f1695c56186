// Package schedule reads sleep mode's cron expressions and says when they fire.
//
// What surprises:
//   - An expression is about the clock on the wall. A time that the clock skips in spring fires when
//     the clock jumps; one that it shows twice in autumn fires the first time. Each time of the
//     schedule fires once, so nothing stays awake or asleep for a day because of a changed clock.
//   - A zone inside the expression is ignored, and so is what follows a "#" in the zone: clients of
//     the 2.x generation write "<zone>#<offset>", whose offset is that of the day of writing.
//   - An expression that never fires, such as the 30th of February, is an error.
//   - The zones' rules are part of the program: they are the same wherever it runs.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // the agent's image has none

	"github.com/robfig/cron/v3"
)

// parser knows the five fields, and names such as @daily.
var parser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Schedule is a cron expression in a zone.
type Schedule struct {
	// wall fires at times of a clock on the wall, which are written as if they were UTC.
	wall cron.Schedule
	zone *time.Location
}

// Zone loads the zone that timezone names, a name of the IANA database, which may be followed by "#"
// and anything. Empty: UTC.
func Zone(timezone string) (*time.Location, error) {
	name, _, _ := strings.Cut(timezone, "#")
	name = strings.TrimSpace(name)
	if strings.EqualFold(name, "local") {
		return nil, errors.New(`unknown time zone "Local": give a name such as "Europe/Berlin"`)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %q: give a name such as \"Europe/Berlin\"", name)
	}
	return zone, nil
}

// Parse reads a cron expression of five fields, or a name such as @daily, that is meant in zone.
func Parse(expression string, zone *time.Location) (*Schedule, error) {
	bare := withoutZone(expression)
	if bare == "" {
		return nil, fmt.Errorf("cron expression %q is empty", expression)
	}
	parsed, err := parser.Parse(bare)
	if err != nil {
		return nil, fmt.Errorf("cron expression %q: %w", expression, err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("cron expression %q: @every has no fixed times; give five fields", expression)
	}
	spec.Location = time.UTC
	if spec.Next(time.Unix(0, 0).UTC()).IsZero() {
		return nil, fmt.Errorf("cron expression %q never fires", expression)
	}
	return &Schedule{wall: spec, zone: zone}, nil
}

// withoutZone removes zones from the beginning of an expression.
func withoutZone(expression string) string {
	fields := strings.Fields(expression)
	for len(fields) > 0 && (strings.HasPrefix(fields[0], "TZ=") || strings.HasPrefix(fields[0], "CRON_TZ=")) {
		fields = fields[1:]
	}
	return strings.Join(fields, " ")
}

// Next returns the first time after t at which s fires, in whole seconds.
func (s *Schedule) Next(t time.Time) time.Time {
	wall := wallOf(t.In(s.zone))
	for {
		wall = s.wall.Next(wall)
		if wall.IsZero() {
			// Less than five years ahead everything that fires at all does, but the gap around 2100
			// is eight years long.
			return time.Time{}
		}
		// The wall clock shows an hour twice: what it showed the first time is in the past.
		if fire := s.instant(wall); fire.After(t) {
			return fire
		}
	}
}

// Last returns the last time in (after, until] at which s fired; false: it didn't.
func (s *Schedule) Last(after, until time.Time) (time.Time, bool) {
	// Back in growing steps: frequent schedules are found at once, rare ones have few times to pass.
	for back := time.Hour; ; back *= 2 {
		from := until.Add(-back)
		if from.Before(after) {
			from = after
		}
		if last, found := s.walk(from, until); found {
			return last, true
		}
		if !from.After(after) {
			return time.Time{}, false
		}
	}
}

func (s *Schedule) walk(from, until time.Time) (last time.Time, found bool) {
	for fire := s.Next(from); !fire.IsZero() && !fire.After(until); fire = s.Next(fire) {
		last, found = fire, true
	}
	return last, found
}

// Fires says whether t is a time at which s fires.
func (s *Schedule) Fires(t time.Time) bool { return s.Next(t.Add(-time.Second)).Equal(t) }

// wallOf is what the wall clock shows at t, as if it were UTC.
func wallOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// instant is when the wall clock of the zone shows wall first; where it never does, when it jumps
// over it.
func (s *Schedule) instant(wall time.Time) time.Time {
	// A day before and after, the clock has surely not changed yet, or has.
	before, after := s.offset(wall.Add(-24*time.Hour)), s.offset(wall.Add(24*time.Hour))
	early, late := wall.Add(-max(before, after)), wall.Add(-min(before, after))
	for _, t := range []time.Time{early, late} {
		if local := t.In(s.zone); wallOf(local).Equal(wall) {
			return local
		}
	}
	jump, _ := late.In(s.zone).ZoneBounds()
	return jump
}

// offset is how far the zone's clock is ahead of UTC around the time that wall would be in UTC.
func (s *Schedule) offset(wall time.Time) time.Duration {
	_, seconds := wall.In(s.zone).Zone()
	return time.Duration(seconds) * time.Second
}
