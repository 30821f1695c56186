package controller

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
	clocktesting "k8s.io/utils/clock/testing"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
	"loft.sh/agent/pkg/agent/sleepmode/decision"
	"loft.sh/agent/pkg/agent/sleepmode/workload"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// fakeWorkloads notes what it was asked for.
type fakeWorkloads struct {
	calls  []string
	result workload.Result
	during func()
}

func (f *fakeWorkloads) call(name string) workload.Result {
	f.calls = append(f.calls, name)
	if f.during != nil {
		f.during()
	}
	return f.result
}

func (f *fakeWorkloads) Sleep(_ context.Context, _ string, deletePods bool) workload.Result {
	if deletePods {
		return f.call("sleep and delete")
	}
	return f.call("sleep")
}

func (f *fakeWorkloads) Wake(context.Context, string) workload.Result { return f.call("wake") }

type fixture struct {
	*Controller
	t         *testing.T
	name      string
	client    *fake.Clientset
	clock     *clocktesting.FakeClock
	uptime    time.Duration
	workloads *fakeWorkloads
	events    *record.FakeRecorder
}

func newFixture(t *testing.T, name string, notes map[string]string) *fixture {
	f := &fixture{t: t, name: name, clock: clocktesting.NewFakeClock(noon), workloads: &fakeWorkloads{}, events: record.NewFakeRecorder(100)}
	prefixed := map[string]string{}
	for key, value := range notes {
		prefixed[annotations.Prefix+key] = value
	}
	f.client = fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: "u", Annotations: prefixed, CreationTimestamp: metav1.NewTime(noon.AddDate(-1, 0, 0)),
	}})
	f.restart()
	return f
}

// restart has another controller take over.
func (f *fixture) restart() {
	f.Controller = New(Config{
		HostClient: f.client, Namespaces: informers.NewSharedInformerFactory(f.client, 0).Core().V1().Namespaces(),
		Workloads: f.workloads, Events: f.events, Clock: f.clock, Uptime: func() time.Duration { return f.uptime }, Own: "loft",
	})
}

// reconcileOnce reads the namespace into the cache and goes through it.
func (f *fixture) reconcileOnce() (time.Duration, error) {
	f.t.Helper()
	indexer := f.Namespaces.Informer().GetIndexer()
	namespace, err := f.client.CoreV1().Namespaces().Get(f.t.Context(), f.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_ = indexer.Delete(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.name}})
	} else if err := indexer.Update(namespace); err != nil {
		f.t.Fatal(err)
	}
	return f.reconcile(f.t.Context(), f.name)
}

func (f *fixture) mustReconcile() time.Duration {
	f.t.Helper()
	again, err := f.reconcileOnce()
	if err != nil {
		f.t.Fatal(err)
	}
	return again
}

func (f *fixture) state() annotations.Namespace {
	f.t.Helper()
	namespace, err := f.client.CoreV1().Namespaces().Get(f.t.Context(), f.name, metav1.GetOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	state, _ := annotations.ReadNamespace(namespace.Annotations)
	return state
}

func (f *fixture) annotate(key, value string) {
	f.t.Helper()
	namespace, err := f.client.CoreV1().Namespaces().Get(f.t.Context(), f.name, metav1.GetOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	namespace.Annotations[annotations.Prefix+key] = value
	if _, err := f.client.CoreV1().Namespaces().Update(f.t.Context(), namespace, metav1.UpdateOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) wantEvent(parts ...string) {
	f.t.Helper()
	var got []string
	for len(f.events.Events) > 0 {
		event := <-f.events.Events
		got = append(got, event)
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(event, part) }) {
			return
		}
	}
	f.t.Errorf("no event with %q, got %q", parts, got)
}

func (f *fixture) writes() (verbs []string) {
	for _, action := range f.client.Actions() {
		if verb := action.GetVerb(); verb != "get" && verb != "list" && verb != "watch" && verb != "update" {
			verbs = append(verbs, verb)
		}
	}
	return verbs
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

func TestSleepAndWake(t *testing.T) {
	f := newFixture(t, "team-a", map[string]string{"sleep-after": "600", "last-activity": unix(noon.Add(-time.Hour)), "delete-all-pods": "true"})
	f.mustReconcile()
	state := f.state()
	if state.Phase != annotations.Asleep || state.Status.SleepingSince != noon.Unix() || state.Status.SleepType != clusterv1.SleepTypeInactivity {
		t.Errorf("not asleep: %+v", state)
	}
	f.wantEvent("Normal FallingAsleep", "no activity since", "sleep-after is 600s")
	f.mustReconcile()
	f.clock.Step(time.Hour)
	f.annotate("last-activity", unix(noon.Add(time.Hour)))
	f.annotate("last-activity-info", `{"subject":"alice","verb":"get","resource":"pods"}`)
	f.workloads.result.Replicas = 5
	f.mustReconcile()
	state = f.state()
	if state.Phase != annotations.Awake || state.Status.SleepingSince != 0 || state.Status.CurrentEpoch.Slept != time.Hour.Milliseconds() {
		t.Errorf("not awake: %+v, epoch %+v", state, state.Status.CurrentEpoch)
	}
	f.wantEvent("Normal WakingUp", "alice: get pods")
	f.wantEvent("Normal Awake", "5 replicas")
	if again := f.mustReconcile(); again != 600*time.Second+decision.Grace {
		t.Errorf("looked at again in %s", again)
	}
	if want := []string{"sleep and delete", "wake"}; !slices.Equal(f.workloads.calls, want) {
		t.Errorf("calls %q, want %q", f.workloads.calls, want)
	}
	before := len(f.writes())
	f.mustReconcile()
	if got := len(f.writes()); got != before {
		t.Error("written although nothing changed")
	}
}

// TestTakesOver ends the leader in the middle of falling asleep and of waking.
func TestTakesOver(t *testing.T) {
	f := newFixture(t, "team-a", map[string]string{"force": "true"})
	dying, die := context.WithCancel(t.Context())
	f.workloads.during = die
	f.reconcileOnceIn(dying)
	if f.state().Phase != annotations.FallingAsleep {
		t.Fatalf("phase %q after the leader died", f.state().Phase)
	}
	f.workloads.during = nil
	f.restart()
	f.mustReconcile()
	if f.state().Phase != annotations.Asleep {
		t.Fatalf("phase %q", f.state().Phase)
	}
	f.clock.Step(time.Minute)
	f.annotate("last-activity", unix(f.clock.Now()))
	dying, die = context.WithCancel(t.Context())
	f.workloads.during = die
	f.reconcileOnceIn(dying)
	if state := f.state(); state.Phase != annotations.Waking || state.Status.SleepingSince == 0 || state.Force {
		t.Fatalf("state %+v after the leader died", state)
	}
	f.workloads.during = nil
	f.restart()
	f.annotate("force", "true") // a person wants it to sleep on
	f.mustReconcile()
	if f.state().Phase != annotations.Awake || !f.state().Force {
		t.Fatalf("state %+v", f.state())
	}
	f.mustReconcile()
	if want := []string{"sleep", "sleep", "wake", "wake", "sleep"}; !slices.Equal(f.workloads.calls, want) {
		t.Errorf("calls %q, want %q", f.workloads.calls, want)
	}
}

func (f *fixture) reconcileOnceIn(ctx context.Context) {
	indexer := f.Namespaces.Informer().GetIndexer()
	namespace, err := f.client.CoreV1().Namespaces().Get(f.t.Context(), f.name, metav1.GetOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	_ = indexer.Update(namespace)
	_, _ = f.reconcile(ctx, f.name)
}

// TestOutdatedCache holds that a cache behind the API server puts nothing to sleep that is awake.
func TestOutdatedCache(t *testing.T) {
	f := newFixture(t, "team-a", map[string]string{"sleeping-since": unix(noon), "phase": "FallingAsleep", "last-activity": unix(noon.Add(-time.Hour))})
	old, _ := f.client.CoreV1().Namespaces().Get(t.Context(), "team-a", metav1.GetOptions{})
	_ = f.Namespaces.Informer().GetIndexer().Update(old.DeepCopy())
	_, _ = f.follow(t.Context(), old) // writes what is missing
	f.workloads.calls = nil
	cached, _ := f.client.CoreV1().Namespaces().Get(t.Context(), "team-a", metav1.GetOptions{})
	cached = cached.DeepCopy()
	cached.Annotations[annotations.PhaseKey] = "FallingAsleep"
	f.annotate("phase", "")
	f.annotate("sleeping-since", "0")
	_ = f.Namespaces.Informer().GetIndexer().Update(cached)
	if again, err := f.reconcile(t.Context(), "team-a"); err != nil || again != time.Second {
		t.Errorf("again in %s, error %v", again, err)
	}
	if len(f.workloads.calls) != 0 {
		t.Errorf("calls %q", f.workloads.calls)
	}
}

func TestMalformed(t *testing.T) {
	f := newFixture(t, "team-a", map[string]string{
		"force": "true", "sleep-after": "1h", "timezone": "Mars/Olympus", "ignore-resource-verbs": "pods", "last-activity": unix(noon.Add(-time.Hour)),
	})
	for range 3 {
		f.mustReconcile()
	}
	conditions := f.state().Status.Conditions
	if len(conditions) != 1 || conditions[0].Status != metav1.ConditionFalse || conditions[0].Reason != "AnnotationMalformed" {
		t.Fatalf("conditions %+v", conditions)
	}
	for _, part := range []string{"sleepmode.loft.sh/sleep-after: \"1h\" is no whole number", "sleepmode.loft.sh/timezone", "sleepmode.loft.sh/ignore-resource-verbs"} {
		if !strings.Contains(conditions[0].Message, part) {
			t.Errorf("message %q lacks %q", conditions[0].Message, part)
		}
	}
	if len(f.events.Events) != 1 || len(f.workloads.calls) != 0 {
		t.Errorf("%d events, calls %q", len(f.events.Events), f.workloads.calls)
	}
	f.wantEvent("Warning AnnotationMalformed", "sleep-after")
	for key, value := range map[string]string{"sleep-after": "60", "timezone": "", "ignore-resource-verbs": ""} {
		f.annotate(key, value)
	}
	f.mustReconcile()
	if state := f.state(); state.Phase != annotations.Asleep || state.Status.Conditions[0].Status != metav1.ConditionTrue {
		t.Errorf("state after mending: %+v", state)
	}
}

func TestWorkloadFails(t *testing.T) {
	f := newFixture(t, "team-a", map[string]string{"force": "true"})
	f.workloads.result.Failures = []workload.Failure{{Object: "deployments/web", Err: errors.New("denied by a webhook")}}
	if again := f.mustReconcile(); again != retry {
		t.Errorf("again in %s", again)
	}
	f.wantEvent("Warning WorkloadFailed", "deployments/web: denied by a webhook")
	f.mustReconcile()
	f.workloads.result.Failures = nil
	f.mustReconcile()
	f.mustReconcile()
	if want := []string{"sleep", "sleep", "sleep"}; !slices.Equal(f.workloads.calls, want) {
		t.Errorf("calls %q, want %q", f.workloads.calls, want)
	}
	if conditions := f.state().Status.Conditions; len(conditions) != 1 || conditions[0].Status != metav1.ConditionTrue {
		t.Errorf("conditions %+v", conditions)
	}
	// What can't be woken isn't called awake.
	f.workloads.result.Failures = []workload.Failure{{Object: "deployments/web", Err: errors.New("denied")}}
	f.annotate("force", "false")
	f.mustReconcile()
	if state := f.state(); state.Phase != annotations.Waking || state.Status.SleepingSince == 0 {
		t.Errorf("state %+v", state)
	}
}

// TestClockJump holds that a clock that jumps deletes nothing.
func TestClockJump(t *testing.T) {
	f := newFixture(t, "team-a", map[string]string{"delete-after": "3600", "last-activity": unix(noon)})
	f.mustReconcile()
	f.wantEvent("Warning DeletionDue", "2026-06-01T13:00:00Z")
	f.clock.Step(10 * 365 * 24 * time.Hour)
	for range 3 {
		f.mustReconcile()
		f.uptime += 19 * time.Minute
	}
	if slices.Contains(f.writes(), "delete") {
		t.Fatal("deleted after an hour of observation had not passed")
	}
	f.restart() // begins to observe anew
	f.mustReconcile()
	f.uptime += 59 * time.Minute
	f.mustReconcile()
	if slices.Contains(f.writes(), "delete") {
		t.Fatal("deleted by a controller that has just begun")
	}
	f.clock.Step(-10 * 365 * 24 * time.Hour) // the clock is put right
	f.uptime += time.Hour
	f.mustReconcile()
	if slices.Contains(f.writes(), "delete") {
		t.Fatal("deleted although not due")
	}
}

func TestDelete(t *testing.T) {
	f := newFixture(t, "team-a", map[string]string{"delete-after": "3600", "last-activity": unix(noon.Add(-2 * time.Hour))})
	f.mustReconcile() // announces
	f.mustReconcile() // sees it for the first time
	f.uptime += time.Hour
	f.mustReconcile()
	if !slices.Contains(f.writes(), "delete") {
		t.Fatal("not deleted")
	}
	f.wantEvent("Warning Deleted", "delete-after is 3600s")
	f.mustReconcile()
}

// TestActivitySavesFromDeletion holds that the hour begins anew after activity.
func TestActivitySavesFromDeletion(t *testing.T) {
	f := newFixture(t, "team-a", map[string]string{"delete-after": "3600", "last-activity": unix(noon.Add(-2 * time.Hour))})
	f.mustReconcile()
	f.mustReconcile()
	f.annotate("last-activity", unix(noon.Add(-90*time.Minute)))
	f.uptime += 2 * time.Hour
	f.mustReconcile()
	f.mustReconcile()
	if slices.Contains(f.writes(), "delete") {
		t.Fatal("deleted")
	}
}

func TestProtectedNamespaces(t *testing.T) {
	for _, name := range []string{"kube-system", "loft"} {
		f := newFixture(t, name, map[string]string{"force": "true", "delete-after": "1", "last-activity": "1"})
		f.uptime += 10 * time.Hour
		f.mustReconcile()
		f.mustReconcile()
		if len(f.workloads.calls) != 0 || slices.Contains(f.writes(), "delete") {
			t.Errorf("%s: calls %q, writes %q", name, f.workloads.calls, f.writes())
		}
		if conditions := f.state().Status.Conditions; len(conditions) != 1 || conditions[0].Reason != "Protected" {
			t.Errorf("%s: conditions %+v", name, conditions)
		}
	}
}

func TestDeletedMeanwhile(t *testing.T) {
	f := newFixture(t, "team-a", map[string]string{"force": "true"})
	f.workloads.during = func() {
		if err := f.client.CoreV1().Namespaces().Delete(t.Context(), "team-a", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	f.mustReconcile()
	f.workloads.during = nil
	if again := f.mustReconcile(); again != 0 {
		t.Errorf("again in %s", again)
	}
}

func TestOthersAreLeftAlone(t *testing.T) {
	f := newFixture(t, "team-a", nil)
	if again := f.mustReconcile(); again != 0 || len(f.writes()) != 0 {
		t.Errorf("again in %s, writes %q", again, f.writes())
	}
}
