package decision

import (
	"fmt"
	"time"

	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

const (
	// warningTime is how long before a deletion the namespace says so.
	warningTime = 24 * time.Hour
	// DeletionObservation is for how long an agent must have seen that a namespace is to be deleted:
	// a clock that jumps deletes nothing. It is measured by a clock that nobody can set, and begins
	// anew with the agent.
	DeletionObservation = time.Hour
)

// deletionDue is when delete-after has passed; zero: never.
func deletionDue(n annotations.Namespace) time.Time {
	if n.Spec.DeleteAfter == 0 || n.Status.LastActivity == 0 {
		return time.Time{}
	}
	return time.Unix(n.Status.LastActivity, 0).Add(seconds(n.Spec.DeleteAfter))
}

// DeletionDue says whether delete-after has passed, and the namespace has said so.
func DeletionDue(n annotations.Namespace, now time.Time) bool {
	due := deletionDue(n)
	return !due.IsZero() && n.DeleteAt == due.Unix() && !now.Before(due)
}

// announceDeletion keeps delete-at: it is there from a day before.
func (v *Verdict) announceDeletion(s Subject) {
	v.State.DeleteAt = 0
	due := deletionDue(v.State)
	if due.IsZero() || s.Now.Before(due.Add(-warningTime)) {
		return
	}
	v.State.DeleteAt = due.Unix()
	v.Warn = v.State.DeleteAt != s.DeleteAt
}

func (v *Verdict) mayDelete(s Subject) bool {
	return DeletionDue(s.Namespace, s.Now) && s.DeletionSeenFor >= DeletionObservation
}

// deletionTimes are when the next steps towards a deletion are due.
func (v *Verdict) deletionTimes(s Subject) []time.Time {
	due := deletionDue(v.State)
	if due.IsZero() {
		return nil
	}
	times := []time.Time{due.Add(-warningTime), due}
	if !s.Now.Before(due) {
		times = append(times, s.Now.Add(max(DeletionObservation-s.DeletionSeenFor, time.Second)))
	}
	return times
}

func deletionMessage(s Subject) string {
	return fmt.Sprintf("no activity since %s, delete-after is %ds", stamp(s.Status.LastActivity), s.Spec.DeleteAfter)
}
