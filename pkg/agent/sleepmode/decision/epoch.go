package decision

import (
	"time"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

const (
	day         = 24 * time.Hour
	epochLength = 30 * day
)

// turn returns the epochs at s.Now: where 30 days have passed, a new one begins. What a namespace
// that sleeps has slept since is not in the current one: it is added on waking.
func turn(s Subject) (current, last *clusterv1.EpochInfo) {
	current, last = s.Status.CurrentEpoch, s.Status.LastEpoch
	if current == nil {
		return &clusterv1.EpochInfo{Start: s.Now.Unix()}, last
	}
	for {
		end := time.Unix(current.Start, 0).Add(epochLength)
		if s.Now.Before(end) {
			return current, last
		}
		closed := *current
		closed.Slept += sleptIn(s.Namespace, closed.Start, end).Milliseconds()
		current, last = &clusterv1.EpochInfo{Start: end.Unix()}, &closed
	}
}

// sleptIn is how much of the sleep that goes on lies between start and end.
func sleptIn(n annotations.Namespace, start int64, end time.Time) time.Duration {
	if n.Status.SleepingSince == 0 {
		return 0
	}
	return max(0, end.Sub(time.Unix(max(start, n.Status.SleepingSince), 0)))
}

// Slept returns how much of the last 30 and 7 days the namespace slept, in per cent; of its life,
// where that is shorter. The books are kept by epochs of 30 days, so what lies in the epoch before, and
// the 7 days, are reckoned as if sleep had been spread evenly; the sleep that goes on is exact.
func Slept(s Subject) (thirtyDays, sevenDays float64) {
	current, last := turn(s)
	books := books{current: *current, created: s.Created, now: s.Now}
	if last != nil {
		books.last = *last
	}
	if s.Status.SleepingSince != 0 {
		books.since = time.Unix(s.Status.SleepingSince, 0)
	}
	return books.percentage(epochLength), books.percentage(7 * day)
}

type books struct {
	current, last clusterv1.EpochInfo
	created, now  time.Time
	// since is when the sleep that goes on began; zero: it doesn't.
	since time.Time
}

// percentage is how much of the time of length before now was slept.
func (b books) percentage(length time.Duration) float64 {
	start := latest(b.now.Add(-length), b.created)
	window := b.now.Sub(start)
	if window <= 0 {
		return 0
	}
	epoch := time.Unix(b.current.Start, 0)
	awakeUntil := b.now
	if !b.since.IsZero() {
		awakeUntil = latest(b.since, start)
	}
	slept := b.now.Sub(awakeUntil)
	slept += part(b.current.Slept, latest(epoch, start), awakeUntil, earliest(b.since, b.now).Sub(latest(epoch, b.created)))
	// What goes on since the epoch before is in its books already.
	goesOn := time.Duration(0)
	if !b.since.IsZero() {
		goesOn = max(0, epoch.Sub(latest(b.since, epoch.Add(-epochLength))))
	}
	slept += part(b.last.Slept-goesOn.Milliseconds(), latest(start, epoch.Add(-epochLength)), earliest(epoch, awakeUntil), epochLength-goesOn)
	return min(100, max(0, 100*float64(slept)/float64(window)))
}

// part is how much of milliseconds, which are spread over whole, falls between start and end.
func part(milliseconds int64, start, end time.Time, whole time.Duration) time.Duration {
	if whole <= 0 || !end.After(start) {
		return 0
	}
	slept := time.Duration(milliseconds) * time.Millisecond
	return time.Duration(float64(slept) * min(1, float64(end.Sub(start))/float64(whole)))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// earliest is the earlier of two times; a zero one is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
