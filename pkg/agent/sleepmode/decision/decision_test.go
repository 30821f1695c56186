package decision

import (
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

// noon is when the tests are.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// ago is noon less d in Unix seconds.
func ago(d time.Duration) int64 { return noon.Add(-d).Unix() }

func asleep(sleepType string, since time.Duration) annotations.Namespace {
	return annotations.Namespace{Phase: annotations.Asleep, Status: clusterv1.SleepModeConfigStatus{
		SleepingSince: ago(since), SleepType: sleepType, LastActivity: ago(since + time.Hour),
	}}
}

var decideTests = []struct {
	name       string
	namespace  func() annotations.Namespace
	seenFor    time.Duration
	wantAction Action
	wantReason string
	wantType   string
}{
	{name: "nothing set", namespace: func() annotations.Namespace { return annotations.Namespace{} }},
	{
		name: "active", namespace: func() annotations.Namespace { return inactive(59 * time.Minute) },
	},
	{
		name: "inactive, but another replica may have seen something", namespace: func() annotations.Namespace { return inactive(time.Hour + time.Minute) },
	},
	{
		name: "inactive", namespace: func() annotations.Namespace { return inactive(time.Hour + Grace) },
		wantAction: Sleep, wantReason: Inactivity, wantType: "inactivitySleep",
	},
	{
		name: "never seen before", namespace: func() annotations.Namespace {
			return annotations.Namespace{Spec: clusterv1.SleepModeConfigSpec{SleepAfter: 1}}
		},
	},
	{
		name: "active in the future", namespace: func() annotations.Namespace { return inactive(-1000 * time.Hour) },
	},
	{
		name: "forced", namespace: func() annotations.Namespace { return forced(annotations.Namespace{}, nil) },
		wantAction: Sleep, wantReason: Forced, wantType: "forcedSleep",
	},
	{
		name: "forced for a time", namespace: func() annotations.Namespace { return forced(annotations.Namespace{}, ptr.To[int64](60)) },
		wantAction: Sleep, wantReason: Forced, wantType: "forcedDurationSleep",
	},
	{
		name: "forced while it sleeps already", namespace: func() annotations.Namespace { return forced(asleep("inactivitySleep", time.Hour), nil) },
		wantAction: Sleep, wantReason: Forced, wantType: "forcedSleep",
	},
	{name: "sleeps on", namespace: func() annotations.Namespace { return asleep("inactivitySleep", time.Hour) }},
	{
		name: "activity", namespace: func() annotations.Namespace { return active(asleep("inactivitySleep", time.Hour)) },
		wantAction: Wake, wantReason: Activity,
	},
	{
		name: "activity during a schedule's sleep", namespace: func() annotations.Namespace { return active(asleep("scheduledSleep", time.Hour)) },
		wantAction: Wake, wantReason: Activity,
	},
	{
		name: "activity during a forced sleep", namespace: func() annotations.Namespace { return active(forced(asleep("forcedSleep", time.Hour), nil)) },
		wantAction: Wake, wantReason: Activity,
	},
	{
		name: "activity within the duration", namespace: func() annotations.Namespace {
			return active(forced(asleep("forcedDurationSleep", time.Hour), ptr.To[int64](3601)))
		},
	},
	{
		name: "activity after the duration", namespace: func() annotations.Namespace {
			return active(forced(asleep("forcedDurationSleep", time.Hour), ptr.To[int64](3600)))
		},
		wantAction: Wake, wantReason: Activity,
	},
	{
		name: "the duration passed and nothing else", namespace: func() annotations.Namespace {
			return forced(asleep("forcedDurationSleep", time.Hour), ptr.To[int64](60))
		},
	},
	{
		name: "activity within a duration of 0", namespace: func() annotations.Namespace {
			return active(forced(asleep("forcedDurationSleep", 1000*time.Hour), ptr.To[int64](0)))
		},
	},
	{
		name: "not forced any more", namespace: func() annotations.Namespace { return asleep("forcedDurationSleep", time.Hour) },
		wantAction: Wake, wantReason: ByHand,
	},
	{
		name: "the duration counts from when force came", namespace: func() annotations.Namespace {
			n := active(forced(asleep("forcedDurationSleep", 10*time.Hour), ptr.To[int64](3600)))
			n.ForcedSince = ago(10 * time.Minute)
			return n
		},
	},
	{
		name: "wakes already", namespace: func() annotations.Namespace {
			n := forced(asleep("inactivitySleep", time.Hour), nil)
			n.Phase = annotations.Waking
			return n
		},
	},
	{
		name: "activity while it falls asleep", namespace: func() annotations.Namespace {
			n := active(asleep("inactivitySleep", time.Minute))
			n.Phase = annotations.FallingAsleep
			return n
		},
		wantAction: Wake, wantReason: Activity,
	},
	{
		name: "to be deleted", namespace: deletable, seenFor: time.Hour,
		wantAction: Delete, wantReason: Inactivity,
	},
	{name: "to be deleted, seen for too short a time: the clock may have jumped", namespace: deletable, seenFor: 59 * time.Minute},
	{
		name: "to be deleted, not announced", namespace: func() annotations.Namespace {
			n := deletable()
			n.DeleteAt = 0
			return n
		}, seenFor: 2 * time.Hour,
	},
	{
		name: "to be deleted, announced for another time", namespace: func() annotations.Namespace {
			n := deletable()
			n.Status.LastActivity = ago(25 * time.Hour)
			return n
		}, seenFor: 2 * time.Hour,
	},
}

func inactive(since time.Duration) annotations.Namespace {
	return annotations.Namespace{
		Spec:   clusterv1.SleepModeConfigSpec{SleepAfter: 3600},
		Status: clusterv1.SleepModeConfigStatus{LastActivity: ago(since)},
	}
}

func forced(n annotations.Namespace, duration *int64) annotations.Namespace {
	n.Force, n.Spec.ForceSleep, n.Spec.ForceSleepDuration = true, true, duration
	return n
}

func active(n annotations.Namespace) annotations.Namespace {
	n.Status.LastActivity = n.Status.SleepingSince + 1
	n.Status.LastActivityInfo = &clusterv1.LastActivityInfo{Subject: "alice", Verb: "get", APIGroup: "apps", Resource: "deployments", Name: "web"}
	return n
}

func deletable() annotations.Namespace {
	return annotations.Namespace{
		DeleteAt: ago(2 * time.Hour),
		Spec:     clusterv1.SleepModeConfigSpec{DeleteAfter: 24 * 3600},
		Status:   clusterv1.SleepModeConfigStatus{LastActivity: ago(26 * time.Hour)},
	}
}

func TestDecide(t *testing.T) {
	for _, tt := range decideTests {
		t.Run(tt.name, func(t *testing.T) {
			v := Decide(Subject{Namespace: tt.namespace(), Now: noon, DeletionSeenFor: tt.seenFor}, Schedules{})
			if v.Action != tt.wantAction || v.Reason != tt.wantReason || v.SleepType != tt.wantType {
				t.Errorf("got %q by %q, type %q (%s); want %q by %q, type %q",
					v.Action, v.Reason, v.SleepType, v.Message, tt.wantAction, tt.wantReason, tt.wantType)
			}
			if (v.Action == Nothing) != (v.Message == "") {
				t.Errorf("action %q with message %q", v.Action, v.Message)
			}
		})
	}
}

// TestForcedInTheSecondOfWaking holds that the activity that has just woken it doesn't wake it again.
func TestForcedInTheSecondOfWaking(t *testing.T) {
	n := forced(annotations.Namespace{}, nil)
	n.Status.LastActivity = noon.Unix() + 1
	v := Decide(Subject{Namespace: n, Now: noon}, Schedules{})
	if v = Decide(Subject{Namespace: v.State, Now: noon}, Schedules{}); v.Action != Nothing {
		t.Errorf("%s: %s", v.Action, v.Message)
	}
}

func TestMessages(t *testing.T) {
	v := Decide(Subject{Namespace: active(asleep("inactivitySleep", time.Hour)), Now: noon}, Schedules{})
	if want := "activity: alice: get deployments.apps web"; v.Message != want {
		t.Errorf("got %q, want %q", v.Message, want)
	}
	v = Decide(Subject{Namespace: inactive(2 * time.Hour), Now: noon}, Schedules{})
	if want := "no activity since 2026-06-01T10:00:00Z, sleep-after is 3600s"; v.Message != want {
		t.Errorf("got %q, want %q", v.Message, want)
	}
}

// TestNext holds that a pass at Next, and none before, decides something new.
func TestNext(t *testing.T) {
	v := Decide(Subject{Namespace: inactive(10 * time.Minute), Now: noon}, Schedules{})
	if want := noon.Add(50*time.Minute + Grace); !v.Next.Equal(want) {
		t.Errorf("next = %s, want %s", v.Next, want)
	}
	v = Decide(Subject{Namespace: deletable(), Now: noon, DeletionSeenFor: 20 * time.Minute}, Schedules{})
	if want := noon.Add(40 * time.Minute); !v.Next.Equal(want) {
		t.Errorf("next = %s, want %s", v.Next, want)
	}
}

func TestWarning(t *testing.T) {
	n := deletable()
	n.DeleteAt = 0
	n.Status.LastActivity = ago(10 * time.Hour)
	v := Decide(Subject{Namespace: n, Now: noon}, Schedules{})
	if !v.Warn || v.State.DeleteAt != noon.Add(14*time.Hour).Unix() {
		t.Errorf("warn %t, delete-at %d", v.Warn, v.State.DeleteAt)
	}
	if again := Decide(Subject{Namespace: v.State, Now: noon.Add(time.Minute)}, Schedules{}); again.Warn {
		t.Error("warned twice")
	}
	n = v.State
	n.Spec.DeleteAfter = 10 * 24 * 3600
	if v := Decide(Subject{Namespace: n, Now: noon}, Schedules{}); v.Warn || v.State.DeleteAt != 0 {
		t.Error("warned more than a day before")
	}
}

func TestParseSchedulesFails(t *testing.T) {
	n := annotations.Namespace{Spec: clusterv1.SleepModeConfigSpec{SleepSchedule: "x", WakeupSchedule: "0 0 30 2 *"}}
	_, err := ParseSchedules(n)
	if got := annotations.Errors(err); len(got) != 2 || got[0].Key != annotations.SleepScheduleKey || !strings.Contains(got[1].Reason, "never fires") {
		t.Errorf("got %v", err)
	}
	n.Spec.Timezone = "Mars/Olympus"
	_, err = ParseSchedules(n)
	if got := annotations.Errors(err); len(got) != 1 || got[0].Key != annotations.TimezoneKey {
		t.Errorf("got %v", err)
	}
}
