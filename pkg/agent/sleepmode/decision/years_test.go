package decision

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

// world is a namespace whose verdicts are carried out, through its annotations.
type world struct {
	t       *testing.T
	now     time.Time
	created time.Time
	notes   map[string]string
	// slept is what was slept, counted by the test.
	slept time.Duration
	since time.Time
}

func newWorld(t *testing.T, start time.Time, spec clusterv1.SleepModeConfigSpec) *world {
	change := annotations.Change{}
	change.SetSpec(spec)
	return &world{t: t, now: start, created: start, notes: change.Apply(nil)}
}

func (w *world) read() annotations.Namespace {
	n, err := annotations.ReadNamespace(w.notes)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) write(n annotations.Namespace) {
	change := annotations.Change{}
	change.SetSpec(n.Spec)
	change.SetActivity(n.Status.LastActivity, n.Status.LastActivityInfo)
	change.SetState(n)
	w.notes = change.Apply(w.notes)
}

// pass decides, and does it at once.
func (w *world) pass() Verdict {
	n := w.read()
	schedules, err := ParseSchedules(n)
	if err != nil {
		w.t.Fatal(err)
	}
	v := Decide(Subject{Namespace: n, Now: w.now, Created: w.created}, schedules)
	state := v.State
	switch v.Action {
	case Sleep:
		if n.Phase == annotations.Awake {
			w.since = w.now
		}
		state.Phase = annotations.Asleep
	case Wake:
		state = Awoken(state, w.now)
		w.slept += w.now.Sub(w.since)
	}
	w.write(state)
	return v
}

// until passes whenever it is due, until end.
func (w *world) until(end time.Time) {
	for {
		v := w.pass()
		if v.Action != Nothing {
			continue // what was done is a change, and each change is a reason to decide again
		}
		if v.Next.IsZero() || v.Next.After(end) {
			break
		}
		w.now = v.Next
	}
	w.now = end
	w.pass()
}

func (w *world) asleep() bool { return w.read().Status.SleepingSince != 0 }

// TestTwoYearsOfSchedules lives two years by a schedule in several zones, looks every 97
// minutes whether the namespace sleeps as the clock on the wall says, and restarts the agent now and then.
func TestTwoYearsOfSchedules(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago"} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			location, err := time.LoadLocation(zone)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Date(2026, 1, 1, 12, 0, 0, 0, location)
			random := rand.New(rand.NewPCG(1, 2))
			w := newWorld(t, start, clusterv1.SleepModeConfigSpec{SleepSchedule: "30 22 * * *", WakeupSchedule: "15 7 * * *", Timezone: zone})
			for look := start.Add(10 * time.Minute); look.Before(start.AddDate(2, 0, 0)); look = look.Add(97 * time.Minute) {
				w.until(look)
				if random.IntN(50) == 0 {
					// Down for up to three days; the first pass after it must put all right.
					look = look.Add(time.Duration(random.IntN(72*60)) * time.Minute)
					w.now = look
					w.pass()
				}
				local := look.In(location)
				minute := local.Hour()*60 + local.Minute()
				if want := minute >= 22*60+30 || minute < 7*60+15; w.asleep() != want {
					t.Fatalf("at %s: asleep %t, want %t (%v)", local, w.asleep(), want, w.notes)
				}
			}
		})
	}
}

// TestMissedSchedules sets a schedule whose time has just passed, and changes one.
func TestMissedSchedules(t *testing.T) {
	w := newWorld(t, noon, clusterv1.SleepModeConfigSpec{SleepSchedule: "0 11 * * *"})
	if v := w.pass(); v.Action != Nothing {
		t.Errorf("a new schedule made up for %s", v.Message)
	}
	n := w.read()
	n.Status.LastActivity = ago(3 * time.Hour)
	n.Status.ScheduledSleep = ptr.To(ago(77 * time.Minute)) // what the schedule before had announced
	w.write(n)
	if v := w.pass(); v.Action != Nothing || *v.State.Status.ScheduledSleep != noon.Add(23*time.Hour).Unix() {
		t.Errorf("the time of another schedule: %s, next %d", v.Message, *v.State.Status.ScheduledSleep)
	}
}

// TestActivityAfterTheSchedule keeps a namespace awake that is in use when a pass comes late.
func TestActivityAfterTheSchedule(t *testing.T) {
	w := newWorld(t, noon.Add(-2*time.Hour), clusterv1.SleepModeConfigSpec{SleepSchedule: "0 11 * * *"})
	w.pass()
	w.now = noon
	n := w.read()
	n.Status.LastActivity = ago(time.Minute)
	w.write(n)
	if v := w.pass(); v.Action != Nothing {
		t.Errorf("put to sleep: %s", v.Message)
	}
}

// TestScheduledWakingLasts holds that sleep-after doesn't put to sleep at once what a schedule woke.
func TestScheduledWakingLasts(t *testing.T) {
	w := newWorld(t, noon, clusterv1.SleepModeConfigSpec{SleepAfter: 600, WakeupSchedule: "0 7 * * *"})
	w.until(noon.Add(24 * time.Hour))
	if !w.asleep() {
		t.Fatal("awake without activity")
	}
	if want := noon.Add(600*time.Second + Grace); !w.since.After(want) {
		t.Errorf("slept last at %s: the schedule never woke it", w.since)
	}
	if got, want := w.since, time.Date(2026, 6, 2, 7, 10, 0, 0, time.UTC).Add(Grace); !got.Equal(want) {
		t.Errorf("fell asleep at %s after waking, want %s", got, want)
	}
}

// TestForcedOverASchedule holds that a wakeup-schedule that fires within the duration is not made up for.
func TestForcedOverASchedule(t *testing.T) {
	w := newWorld(t, noon, clusterv1.SleepModeConfigSpec{WakeupSchedule: "0 13 * * *", ForceSleepDuration: ptr.To[int64](3 * 3600)})
	w.until(noon.Add(20 * time.Hour))
	if !w.asleep() {
		t.Fatal("the schedule of 13:00 woke what was forced to sleep until 15:00")
	}
	w.until(noon.Add(26 * time.Hour))
	if w.asleep() {
		t.Error("the schedule of the next day did not wake it")
	}
}

// TestForcedOverASchedulePassingLate is the same where the agent was down when the duration ended.
func TestForcedOverASchedulePassingLate(t *testing.T) {
	w := newWorld(t, noon, clusterv1.SleepModeConfigSpec{WakeupSchedule: "0 13 * * *", ForceSleepDuration: ptr.To[int64](3 * 3600)})
	w.pass()
	w.now = noon.Add(4 * time.Hour)
	if v := w.pass(); v.Action != Nothing {
		t.Errorf("%s: %s", v.Action, v.Message)
	}
}

// TestAwoken holds that sleep over two epochs is in the books of both, and that waking is activity.
func TestAwoken(t *testing.T) {
	n := asleep("inactivitySleep", 40*day)
	n.Status.CurrentEpoch = &clusterv1.EpochInfo{Start: ago(50 * day), Slept: 7}
	n = Awoken(n, noon)
	last, current := n.Status.LastEpoch, n.Status.CurrentEpoch
	if want := (20 * day).Milliseconds() + 7; last.Start != ago(50*day) || last.Slept != want {
		t.Errorf("last epoch: %+v, want %d slept", last, want)
	}
	if want := (20 * day).Milliseconds(); current.Start != ago(20*day) || current.Slept != want {
		t.Errorf("current epoch: %+v, want %d slept", current, want)
	}
	if n.Status.LastActivity != noon.Unix() || n.Status.SleepingSince != 0 || n.Phase != annotations.Awake {
		t.Errorf("not awake: %+v", n)
	}
}

// TestBooks lives random lives and compares the books with what was slept.
func TestBooks(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			w := newWorld(t, noon, clusterv1.SleepModeConfigSpec{})
			w.pass()
			for w.now.Before(noon.AddDate(0, 6, 0)) {
				w.now = w.now.Add(time.Duration(random.IntN(5*24*60)+1) * time.Minute)
				n := w.read()
				if w.asleep() {
					n.Force, n.Spec.ForceSleep = false, false
				} else {
					n.Spec.ForceSleep = true
				}
				w.write(n)
				w.pass()
				thirty, seven := Slept(Subject{Namespace: w.read(), Now: w.now, Created: w.created})
				for _, percentage := range []float64{thirty, seven} {
					if math.IsNaN(percentage) || percentage < 0 || percentage > 100 {
						t.Fatalf("%v%% slept", percentage)
					}
				}
				if w.now.Sub(w.created) < epochLength {
					want := w.slept
					if w.asleep() {
						want += w.now.Sub(w.since)
					}
					if got := thirty / 100 * float64(w.now.Sub(w.created)); math.Abs(got-float64(want)) > float64(2*time.Second) {
						t.Fatalf("%v slept by the books, %v in truth", time.Duration(got), want)
					}
				}
			}
		})
	}
}

func TestSlept(t *testing.T) {
	old := noon.AddDate(-1, 0, 0)
	tests := []struct {
		name           string
		status         clusterv1.SleepModeConfigStatus
		thirty, sevenD float64
	}{
		{"never", clusterv1.SleepModeConfigStatus{}, 0, 0},
		{"for a year", clusterv1.SleepModeConfigStatus{SleepingSince: old.Unix(), CurrentEpoch: &clusterv1.EpochInfo{Start: old.Unix()}}, 100, 100},
		{"for a week", clusterv1.SleepModeConfigStatus{SleepingSince: ago(7 * day), CurrentEpoch: &clusterv1.EpochInfo{Start: ago(10 * day)}}, 100 * 7.0 / 30, 100},
		{
			"half of both epochs", clusterv1.SleepModeConfigStatus{
				CurrentEpoch: &clusterv1.EpochInfo{Start: ago(10 * day), Slept: (5 * day).Milliseconds()},
				LastEpoch:    &clusterv1.EpochInfo{Start: ago(40 * day), Slept: (15 * day).Milliseconds()},
			}, 50, 50,
		},
		{
			"since before this epoch", clusterv1.SleepModeConfigStatus{
				SleepingSince: ago(15 * day), CurrentEpoch: &clusterv1.EpochInfo{Start: ago(10 * day)},
				LastEpoch: &clusterv1.EpochInfo{Start: ago(40 * day), Slept: (5 * day).Milliseconds()},
			}, 50, 100,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			thirty, seven := Slept(Subject{Namespace: annotations.Namespace{Status: tt.status}, Now: noon, Created: old})
			if math.Abs(thirty-tt.thirty) > 0.01 || math.Abs(seven-tt.sevenD) > 0.01 {
				t.Errorf("got %v and %v, want %v and %v", thirty, seven, tt.thirty, tt.sevenD)
			}
		})
	}
}
