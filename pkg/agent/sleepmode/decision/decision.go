// Package decision says what is to become of a namespace: pure functions of its annotations and the
// time, without a client.
//
// In order: decision.go decides, awake.go and asleep.go for the two halves; plan.go follows the
// schedules; deletion.go warns and deletes; epoch.go keeps the books of time slept.
//
// What surprises:
//   - Everything is compared with times that stand in annotations, so a pass that comes late, after a
//     restart or a leader's death, decides what one in time would have decided. Of a missed falling
//     asleep and a missed waking the later one counts; at the same time, waking.
//   - A schedule fires only at a time that a pass before has announced in scheduled-sleep or
//     scheduled-wakeup: setting a schedule at noon doesn't make up for last night.
//   - Waking counts as activity: else what a schedule woke would be put to sleep again by sleep-after.
//   - force-duration without force sleeps as well, unless force is "false"; a duration of 0 ends when a
//     person ends it, with or without force. When a duration has passed, the namespace sleeps on, and the
//     next activity wakes it.
package decision

import (
	"errors"
	"time"

	"loft.sh/agent/pkg/agent/sleepmode/annotations"
	"loft.sh/agent/pkg/agent/sleepmode/schedule"
)

// Grace is how much longer than sleep-after a namespace stays awake: activity that another replica
// saw is in the annotations after a minute.
const Grace = 65 * time.Second

// Action is what is to be done to a namespace.
type Action string

// Actions.
const (
	Nothing Action = ""
	Sleep   Action = "Sleep"
	Wake    Action = "Wake"
	Delete  Action = "Delete"
)

// Reasons, of events and metrics.
const (
	Inactivity = "Inactivity"
	Forced     = "Forced"
	Scheduled  = "Scheduled"
	Activity   = "Activity"
	ByHand     = "ByHand"
)

// Subject is a namespace at a moment.
type Subject struct {
	annotations.Namespace
	Now time.Time
	// Created is when the namespace was.
	Created time.Time
	// DeletionSeenFor is for how long this agent has seen, without interruption and by a clock that
	// nobody sets, that the namespace is to be deleted.
	DeletionSeenFor time.Duration
}

// Verdict is what is to become of a namespace.
type Verdict struct {
	Action Action
	// Reason is one of the reasons above; Message says it in a sentence.
	Reason, Message string
	// SleepType is the type of the sleep, where it is one.
	SleepType string
	// Next is when to decide again if nothing happens before; zero: never.
	Next time.Time
	// State is what the annotations must say besides; for an action, before it is done.
	State annotations.Namespace
	// Warn is set where State announces a deletion that was not announced before.
	Warn bool
}

// Schedules are a namespace's; nil: none.
type Schedules struct{ Sleep, Wakeup *schedule.Schedule }

// ParseSchedules reads a namespace's schedules. It returns an *annotations.Error in err for each that
// cannot be read.
func ParseSchedules(n annotations.Namespace) (Schedules, error) {
	zone, err := schedule.Zone(n.Spec.Timezone)
	if err != nil {
		return Schedules{}, errors.Join(&annotations.Error{Key: annotations.TimezoneKey, Reason: err.Error()})
	}
	var s Schedules
	var errs []error
	for _, one := range []struct {
		key, expression string
		into            **schedule.Schedule
	}{
		{annotations.SleepScheduleKey, n.Spec.SleepSchedule, &s.Sleep},
		{annotations.WakeupScheduleKey, n.Spec.WakeupSchedule, &s.Wakeup},
	} {
		if one.expression == "" {
			continue
		}
		parsed, err := schedule.Parse(one.expression, zone)
		if err != nil {
			errs = append(errs, &annotations.Error{Key: one.key, Reason: err.Error()})
			continue
		}
		*one.into = parsed
	}
	return s, errors.Join(errs...)
}

// Decide says what is to become of s.
func Decide(s Subject, schedules Schedules) Verdict {
	v := Verdict{State: s.Namespace}
	sleeps := follow(s.Status.ScheduledSleep, schedules.Sleep, s.Now)
	wakes := follow(s.Status.ScheduledWakeup, schedules.Wakeup, s.Now)
	v.State.Status.ScheduledSleep, v.State.Status.ScheduledWakeup = sleeps.next, wakes.next
	v.State.Status.CurrentEpoch, v.State.Status.LastEpoch = turn(s)
	if v.State.Status.LastActivity == 0 && s.Phase == annotations.Awake {
		// The time without activity begins when it is first looked for.
		v.State.Status.LastActivity = s.Now.Unix()
	}
	v.announceDeletion(s)
	if v.mayDelete(s) {
		v.Action, v.Reason, v.Message = Delete, Inactivity, deletionMessage(s)
		return v
	}
	if s.Phase == annotations.Awake {
		v.decideAwake(s, sleeps, wakes)
	} else {
		v.decideAsleep(s, sleeps, wakes)
	}
	v.Next = v.next(s)
	return v
}

// next is when something may change by itself.
func (v *Verdict) next(s Subject) time.Time {
	var next time.Time
	consider := func(t time.Time) {
		if t.After(s.Now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	state := v.State
	if s.Phase == annotations.Awake && state.Spec.SleepAfter > 0 {
		consider(sleepDue(state))
	}
	for _, planned := range []*int64{state.Status.ScheduledSleep, state.Status.ScheduledWakeup} {
		if planned != nil {
			consider(time.Unix(*planned, 0))
		}
	}
	for _, t := range v.deletionTimes(s) {
		consider(t)
	}
	consider(time.Unix(state.Status.CurrentEpoch.Start, 0).Add(epochLength))
	return next
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
