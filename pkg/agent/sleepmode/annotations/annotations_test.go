package annotations

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

var readTests = []struct {
	name     string
	from     map[string]string
	want     Namespace
	wantKeys []string // of errors
}{
	{name: "nothing"},
	{
		name: "settings",
		from: map[string]string{
			SleepAfterKey: "3600", DeleteAfterKey: "86400", DeleteAllPodsKey: "true",
			SleepScheduleKey: "0 22 * * *", WakeupScheduleKey: "0 7 * * *", TimezoneKey: "Europe/Berlin#3600",
		},
		want: Namespace{Spec: clusterv1.SleepModeConfigSpec{
			SleepAfter: 3600, DeleteAfter: 86400, DeleteAllPods: true,
			SleepSchedule: "0 22 * * *", WakeupSchedule: "0 7 * * *", Timezone: "Europe/Berlin#3600",
		}},
	},
	{
		name: "force", from: map[string]string{ForceKey: "true"},
		want: Namespace{Force: true, Spec: clusterv1.SleepModeConfigSpec{ForceSleep: true}},
	},
	{
		name: "force with a duration of 0", from: map[string]string{ForceKey: "true", ForceDurationKey: "0"},
		want: Namespace{Force: true, Spec: clusterv1.SleepModeConfigSpec{ForceSleep: true, ForceSleepDuration: ptr.To[int64](0)}},
	},
	{
		name: "a duration forces by itself", from: map[string]string{ForceDurationKey: "60"},
		want: Namespace{Force: true, Spec: clusterv1.SleepModeConfigSpec{ForceSleepDuration: ptr.To[int64](60)}},
	},
	{
		name: "a duration with force taken back", from: map[string]string{ForceKey: "false", ForceDurationKey: "60"},
		want: Namespace{Spec: clusterv1.SleepModeConfigSpec{ForceSleepDuration: ptr.To[int64](60)}},
	},
	{
		name: "asleep",
		from: map[string]string{
			SleepingSinceKey: "1000", SleepTypeKey: "inactivitySleep", PhaseKey: "Asleep", LastActivityKey: "500",
			LastActivityInfoKey: `{"subject":"alice","verb":"get"}`, CurrentEpochStartKey: "100", CurrentEpochSleptKey: "7",
		},
		want: Namespace{Phase: Asleep, Status: clusterv1.SleepModeConfigStatus{
			SleepingSince: 1000, SleepType: "inactivitySleep", LastActivity: 500,
			LastActivityInfo: &clusterv1.LastActivityInfo{Subject: "alice", Verb: "get"},
			CurrentEpoch:     &clusterv1.EpochInfo{Start: 100, Slept: 7},
		}},
	},
	{
		name: "asleep without a phase, as older agents wrote it", from: map[string]string{SleepingSinceKey: "1000"},
		want: Namespace{Phase: FallingAsleep, Status: clusterv1.SleepModeConfigStatus{SleepingSince: 1000}},
	},
	{
		name: "sleeping-since removed by hand", from: map[string]string{PhaseKey: "Asleep"},
		want: Namespace{Phase: Waking},
	},
	{name: "sleeping-since 0 is awake", from: map[string]string{SleepingSinceKey: "0"}},
	{name: "negative", from: map[string]string{SleepAfterKey: "-1"}, wantKeys: []string{SleepAfterKey}},
	{name: "a duration of Go's", from: map[string]string{DeleteAfterKey: "8h"}, wantKeys: []string{DeleteAfterKey}},
	{name: "overflow", from: map[string]string{SleepAfterKey: "9223372036854775807"}, wantKeys: []string{SleepAfterKey}},
	{name: "no flag", from: map[string]string{ForceKey: "yes"}, wantKeys: []string{ForceKey}},
	{name: "no phase", from: map[string]string{PhaseKey: "Dozing"}, wantKeys: []string{PhaseKey}},
	{
		name: "every fault at once", from: map[string]string{ForceDurationKey: "x", LastActivityKey: "yesterday"},
		wantKeys: []string{ForceDurationKey, LastActivityKey},
	},
	{name: "broken info costs nothing", from: map[string]string{LastActivityInfoKey: "{"}},
}

func TestReadNamespace(t *testing.T) {
	for _, tt := range readTests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadNamespace(tt.from)
			var keys []string
			for _, e := range Errors(err) {
				keys = append(keys, e.Key)
			}
			if diff := cmp.Diff(tt.wantKeys, keys); diff != "" {
				t.Fatalf("keys of errors (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" && tt.wantKeys == nil {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestChange holds that what is written is read again, and that nothing else is touched.
func TestChange(t *testing.T) {
	want := Namespace{
		Phase: Asleep, ForcedSince: 5, DeleteAt: 6, Force: true,
		Spec: clusterv1.SleepModeConfigSpec{
			ForceSleep: true, ForceSleepDuration: ptr.To[int64](0), DeleteAllPods: true, DeleteAfter: 1, SleepAfter: 2,
			SleepSchedule: "a", WakeupSchedule: "b", Timezone: "c",
		},
		Status: clusterv1.SleepModeConfigStatus{
			LastActivity: 1, LastActivityInfo: &clusterv1.LastActivityInfo{Host: "h"}, SleepingSince: 2, SleepType: "forcedSleep",
			CurrentEpoch: &clusterv1.EpochInfo{Start: 3}, LastEpoch: &clusterv1.EpochInfo{Start: 1, Slept: 2},
			ScheduledSleep: ptr.To[int64](8), ScheduledWakeup: ptr.To[int64](9),
			Conditions: []metav1.Condition{{Type: "Configured", Status: "True"}},
		},
	}
	change := Change{}
	change.SetSpec(want.Spec)
	change.SetActivity(want.Status.LastActivity, want.Status.LastActivityInfo)
	change.SetState(want)
	before := map[string]string{"other": "stays", ExcludeKey: "true"}
	after := change.Apply(before)
	got, err := ReadNamespace(after)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if left := change.Against(after); len(left) != 0 {
		t.Errorf("written again although nothing changed: %v", left)
	}
	empty := Change{}
	empty.SetSpec(clusterv1.SleepModeConfigSpec{})
	empty.SetActivity(0, nil)
	empty.SetState(Namespace{})
	if back := empty.Apply(after); !maps.Equal(back, before) {
		t.Errorf("not all was removed: %v", back)
	}
}

func TestPatch(t *testing.T) {
	c := Change{}
	c.Set("a", "1")
	c.Remove("b")
	if got, want := string(c.Patch("")), `{"metadata":{"annotations":{"a":"1","b":null}}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := string(Change{}.Patch("7")), `{"metadata":{"annotations":{},"resourceVersion":"7"}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReplicas(t *testing.T) {
	for value, want := range map[string]int32{"3": 3, "0": 0, "-1": 0, "x": 0, "9999999999": 0} {
		got, found, err := Replicas(map[string]string{ReplicasKey: value})
		if got != want || !found || (err == nil) != (want > 0) {
			t.Errorf("%q: got %d, %t, %v", value, got, found, err)
		}
	}
	if _, found, err := Replicas(nil); found || err != nil {
		t.Errorf("found %t, error %v without an annotation", found, err)
	}
}
