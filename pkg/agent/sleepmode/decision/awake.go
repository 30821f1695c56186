package decision

import (
	"fmt"
	"time"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

// decideAwake decides whether a namespace that is awake is put to sleep.
func (v *Verdict) decideAwake(s Subject, sleeps, wakes plan) {
	active := v.State.Status.LastActivity
	switch {
	case s.Force:
		v.sleep(s, Forced, forcedType(s.Namespace), "sleep is forced")
	case sleeps.fired && sleeps.last.After(wakes.last) && active <= sleeps.last.Unix():
		v.sleep(s, Scheduled, clusterv1.SleepTypeScheduled, fmt.Sprintf("sleep-schedule %q fired", s.Spec.SleepSchedule))
	case s.Spec.SleepAfter > 0 && !s.Now.Before(sleepDue(v.State)):
		v.sleep(s, Inactivity, clusterv1.SleepTypeInactivity,
			fmt.Sprintf("no activity since %s, sleep-after is %ds", stamp(active), s.Spec.SleepAfter))
	}
}

// sleepDue is when sleep-after has passed.
func sleepDue(n annotations.Namespace) time.Time {
	return time.Unix(n.Status.LastActivity, 0).Add(seconds(n.Spec.SleepAfter) + Grace)
}

// sleep has the namespace fall asleep, or sleep on for another reason.
func (v *Verdict) sleep(s Subject, reason, sleepType, message string) {
	v.Action, v.Reason, v.SleepType, v.Message = Sleep, reason, sleepType, message
	state := &v.State
	// Activity that woke something in this second is dated to the next; it is before this sleep.
	now := s.Now.Unix()
	if last := state.Status.LastActivity; last > now && last <= now+skew {
		now = last
	}
	state.Status.SleepType = sleepType
	if state.Status.SleepingSince == 0 {
		state.Status.SleepingSince = now
	}
	if state.Phase == annotations.Awake {
		state.Phase = annotations.FallingAsleep
	}
	if reason == Forced {
		state.ForcedSince = now
	}
}

// skew is how many seconds clocks of replicas may differ.
const skew = 60

// forcedType is the type of a forced sleep.
func forcedType(n annotations.Namespace) string {
	if n.Spec.ForceSleepDuration != nil {
		return clusterv1.SleepTypeForcedDuration
	}
	return clusterv1.SleepTypeForced
}

func stamp(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }
