package decision

import (
	"fmt"
	"strings"
	"time"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

// decideAsleep decides whether a namespace that sleeps, or is about to, wakes.
func (v *Verdict) decideAsleep(s Subject, sleeps, wakes plan) {
	since := max(s.Status.SleepingSince, s.ForcedSince)
	wasForced := isForced(s.Status.SleepType)
	switch {
	case s.Phase == annotations.Waking:
		// Let it finish: what it takes is decided when it is awake.
	case wasForced && !s.Force:
		v.wake(s, ByHand, "sleep is not forced any more")
	case s.Force && s.Status.SleepType != forcedType(s.Namespace):
		v.sleep(s, Forced, forcedType(s.Namespace), "sleep is forced")
	case s.Now.Before(HeldUntil(s.Namespace)):
		// Nothing wakes it by itself.
	case v.State.Status.LastActivity > since:
		v.wake(s, Activity, "activity: "+Describe(s.Status.LastActivityInfo))
	case wakes.fired && wakes.last.Unix() > since && !wakes.last.Before(sleeps.last) && !wakes.last.Before(HeldUntil(s.Namespace)):
		v.wake(s, Scheduled, fmt.Sprintf("wakeup-schedule %q fired", s.Spec.WakeupSchedule))
	}
}

func isForced(sleepType string) bool {
	return sleepType == clusterv1.SleepTypeForced || sleepType == clusterv1.SleepTypeForcedDuration
}

// Forever is the end of a sleep that only a person ends.
var Forever = time.Unix(1<<40, 0)

// HeldUntil is until when nothing wakes a namespace by itself; zero: any activity does.
func HeldUntil(n annotations.Namespace) time.Time {
	if n.Phase == annotations.Awake || n.Status.SleepType != clusterv1.SleepTypeForcedDuration || n.Spec.ForceSleepDuration == nil {
		return time.Time{}
	}
	if *n.Spec.ForceSleepDuration == 0 {
		return Forever
	}
	return time.Unix(max(n.Status.SleepingSince, n.ForcedSince), 0).Add(seconds(*n.Spec.ForceSleepDuration))
}

// wake has the namespace wake.
func (v *Verdict) wake(s Subject, reason, message string) {
	v.Action, v.Reason, v.Message = Wake, reason, message
	v.State.Phase = annotations.Waking
	v.State.Status.LastActivity = max(v.State.Status.LastActivity, s.Now.Unix())
	v.State.DeleteAt = 0
	// What forced it goes now: what forces it while it wakes is meant to.
	v.State.Spec.ForceSleep, v.State.Spec.ForceSleepDuration, v.State.Force = false, nil, false
}

// Awoken is what the annotations say when the last workload is back at now.
func Awoken(n annotations.Namespace, now time.Time) annotations.Namespace {
	s := Subject{Namespace: n, Now: now}
	n.Status.CurrentEpoch, n.Status.LastEpoch = turn(s)
	current := *n.Status.CurrentEpoch
	current.Slept += sleptIn(n, current.Start, now).Milliseconds()
	n.Status.CurrentEpoch = &current
	n.Phase, n.ForcedSince = annotations.Awake, 0
	n.Status.SleepingSince, n.Status.SleepType = 0, ""
	n.Status.LastActivity = max(n.Status.LastActivity, now.Unix())
	return n
}

// Describe says a request in words, such as "alice: get deployments.apps web".
func Describe(info *clusterv1.LastActivityInfo) string {
	if info == nil || info.Subject == "" && info.Verb == "" {
		return "somebody set last-activity"
	}
	what := info.Resource
	if info.APIGroup != "" {
		what += "." + info.APIGroup
	}
	if info.Subresource != "" {
		what += "/" + info.Subresource
	}
	return info.Subject + ": " + strings.TrimSpace(strings.Join([]string{info.Verb, what, info.Name}, " "))
}
