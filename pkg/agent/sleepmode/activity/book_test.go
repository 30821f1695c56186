package activity

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	clocktesting "k8s.io/utils/clock/testing"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// fixture is a replica's book in a cluster with one namespace.
type fixture struct {
	t       *testing.T
	clock   *clocktesting.FakeClock
	client  *fake.Clientset
	book    *Book
	flusher *Flusher
}

func newFixture(t *testing.T, notes map[string]string) *fixture {
	f := &fixture{t: t, clock: clocktesting.NewFakeClock(noon)}
	f.client = fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a", Annotations: withPrefix(notes)}})
	_ = f.replica(f)
	return f
}

// replica makes of another the fixture of a second replica.
func (f *fixture) replica(of *fixture) *fixture {
	f.t, f.clock, f.client = of.t, of.clock, of.client
	f.book = NewBook(f.clock)
	f.flusher = NewFlusher(f.book, f.client.CoreV1().Namespaces())
	f.observe()
	return f
}

// observe is what an informer does after a change.
func (f *fixture) observe() *corev1.Namespace {
	f.t.Helper()
	namespace, err := f.client.CoreV1().Namespaces().Get(f.t.Context(), "team-a", metav1.GetOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.book.Observe(namespace)
	return namespace
}

// annotate changes annotations as others do.
func (f *fixture) annotate(notes map[string]string) {
	f.t.Helper()
	namespace := f.observe()
	for key, value := range withPrefix(notes) {
		namespace.Annotations[key] = value
	}
	if _, err := f.client.CoreV1().Namespaces().Update(f.t.Context(), namespace, metav1.UpdateOptions{}); err != nil {
		f.t.Fatal(err)
	}
	f.observe()
}

// flush is what Run does at each round; it returns what the annotation says then.
func (f *fixture) flush() int64 {
	f.t.Helper()
	select {
	case name := <-f.book.woken:
		f.flusher.write(f.t.Context(), name, f.book.entry(name))
	default:
		f.flusher.flush(f.t.Context())
	}
	last, _ := strconv.ParseInt(f.observe().Annotations[annotations.LastActivityKey], 10, 64)
	return last
}

func (f *fixture) patches() int {
	count := 0
	for _, action := range f.client.Actions() {
		if action.GetVerb() == "patch" {
			count++
		}
	}
	return count
}

func TestFlushOnceAMinute(t *testing.T) {
	f := newFixture(t, map[string]string{"sleep-after": "60"})
	for range 10 * 60 {
		f.clock.Step(time.Second)
		if !f.book.Note(getPods(), "agent.example.com") {
			t.Fatal("does not count")
		}
		if age := f.clock.Now().Unix() - f.flush(); age > 60 {
			t.Fatalf("what is written is %d s old", age)
		}
	}
	if got := f.patches(); got < 10 || got > 11 {
		t.Errorf("%d writes in 10 minutes", got)
	}
	namespace, err := annotations.ReadNamespace(f.observe().Annotations)
	if err != nil {
		t.Fatal(err)
	}
	want := &clusterv1.LastActivityInfo{Subject: "alice", Host: "agent.example.com", Verb: "list", Resource: "pods"}
	if diff := cmp.Diff(want, namespace.Status.LastActivityInfo); diff != "" {
		t.Errorf("info (-want +got):\n%s", diff)
	}
}

func TestFlushWhatCameLast(t *testing.T) {
	f := newFixture(t, map[string]string{"sleep-after": "60"})
	f.book.Note(getPods(), "")
	f.flush()
	f.clock.Step(30 * time.Second)
	f.book.Note(getPods(), "")
	f.clock.Step(29 * time.Second)
	if got := f.flush(); got != noon.Unix() {
		t.Errorf("written after 59 s: %d", got-noon.Unix())
	}
	f.clock.Step(time.Second)
	if got := f.flush(); got != noon.Unix()+30 {
		t.Errorf("written after a minute: %d", got-noon.Unix())
	}
}

func TestReplicasAgree(t *testing.T) {
	a := newFixture(t, map[string]string{"sleep-after": "60"})
	b := (&fixture{}).replica(a)
	for range 5 * 60 {
		a.clock.Step(time.Second)
		a.book.Note(getPods(), "a")
		b.book.Note(getPods(), "b")
		before := a.flush()
		b.observe()
		if after := b.flush(); after < before {
			t.Fatal("an older activity replaced a newer one")
		}
		a.observe()
	}
	if got := a.patches(); got < 5 || got > 6 {
		t.Errorf("%d writes of both in 5 minutes", got)
	}
}

func TestWakesAtOnce(t *testing.T) {
	f := newFixture(t, map[string]string{"sleep-after": "60"})
	f.book.Note(getPods(), "")
	f.flush()
	since := noon.Unix() + 1
	f.clock.Step(time.Second)
	f.annotate(map[string]string{"sleeping-since": strconv.FormatInt(since, 10), "sleep-type": "inactivitySleep", "phase": "Asleep"})
	if got := f.book.State("team-a"); got != (State{Asleep: true}) {
		t.Errorf("state %+v", got)
	}
	before := f.patches()
	for range 50 {
		f.book.Note(getPods(), "")
		if got := f.flush(); got <= since {
			t.Fatalf("written %d s after falling asleep", got-since)
		}
	}
	if got := f.patches() - before; got != 1 {
		t.Errorf("%d writes to wake it once", got)
	}
}

// TestWakesWhileFallingAsleep holds that activity counts that came before this replica knew.
func TestWakesWhileFallingAsleep(t *testing.T) {
	f := newFixture(t, map[string]string{"sleep-after": "60", "last-activity": strconv.FormatInt(noon.Unix(), 10)})
	f.clock.Step(2 * time.Second)
	f.book.Note(getPods(), "")
	f.annotate(map[string]string{"sleeping-since": strconv.FormatInt(noon.Unix()+1, 10), "phase": "FallingAsleep"})
	if got := f.flush(); got != noon.Unix()+2 {
		t.Errorf("written %d", got-noon.Unix())
	}
}

func TestHeld(t *testing.T) {
	f := newFixture(t, map[string]string{
		"force": "true", "force-duration": "60", "sleeping-since": strconv.FormatInt(noon.Unix(), 10),
		"sleep-type": "forcedDurationSleep", "phase": "Asleep",
	})
	if got := f.book.State("team-a"); !got.Asleep || got.HeldUntil.Unix() != noon.Unix()+60 || got.ByHand {
		t.Errorf("state %+v", got)
	}
	f.clock.Step(59 * time.Second)
	f.book.Note(getPods(), "")
	if f.flush() != 0 {
		t.Error("activity within the duration is remembered")
	}
	f.clock.Step(time.Second)
	f.book.Note(getPods(), "")
	if f.flush() == 0 || !f.book.State("team-a").HeldUntil.IsZero() {
		t.Error("held beyond the duration")
	}
	f.annotate(map[string]string{"force-duration": "0"})
	if !f.book.State("team-a").ByHand {
		t.Error("a duration of 0 ends by itself")
	}
}

func TestOpenConnections(t *testing.T) {
	for ignore, want := range map[string]int64{"false": noon.Unix() + 120, "true": noon.Unix()} {
		f := newFixture(t, map[string]string{"sleep-after": "60", "ignore-active-conntections": ignore})
		f.book.Note(getPods(), "")
		closed := f.book.Connected("team-a")
		f.flush()
		f.clock.Step(2 * time.Minute)
		if got := f.flush(); got != want {
			t.Errorf("ignored %s: written %d", ignore, got-noon.Unix())
		}
		closed()
		f.clock.Step(2 * time.Minute)
		if got := f.flush(); got != want {
			t.Errorf("ignored %s, closed: written %d", ignore, got-noon.Unix())
		}
	}
}

// TestOpenConnectionsWakeNothing holds that a port-forward to a pod that is gone doesn't wake it.
func TestOpenConnectionsWakeNothing(t *testing.T) {
	f := newFixture(t, map[string]string{"sleeping-since": strconv.FormatInt(noon.Unix(), 10), "phase": "Asleep"})
	f.book.Connected("team-a")
	f.clock.Step(time.Hour)
	if got := f.flush(); got != 0 {
		t.Errorf("written %d", got)
	}
}

func TestOthersAreNotFollowed(t *testing.T) {
	f := newFixture(t, nil)
	f.book.Observe(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a"}})
	if f.book.Note(getPods(), "") || f.book.State("team-a").Asleep {
		t.Error("a namespace without sleep mode is followed")
	}
	f.book.Observe(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a", Labels: map[string]string{"loft.sh/user": "alice"}}})
	if !f.book.Note(getPods(), "") {
		t.Error("a space is not followed")
	}
}

// TestRunWritesAtTheEnd holds that a replica that ends loses nothing.
func TestRunWritesAtTheEnd(t *testing.T) {
	f := newFixture(t, map[string]string{"sleep-after": "60"})
	f.book.Note(getPods(), "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.flusher.Run(ctx)
	if f.patches() != 1 {
		t.Errorf("%d writes", f.patches())
	}
}

// BenchmarkNote is what a request costs: activity of many at once in 1,000 namespaces.
func BenchmarkNote(b *testing.B) {
	book := NewBook(clocktesting.NewFakePassiveClock(noon))
	requests := make([]Request, 1000)
	for i := range requests {
		name := fmt.Sprintf("team-%d", i)
		book.Observe(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: withPrefix(map[string]string{
			"sleep-after": "60", "ignore-groups": "loft:team:ops,loft:team:ci", "ignore-resources": "events,leases.coordination.k8s.io",
			"ignore-resource-verbs": "configmaps=get list", "ignore-user-agents": "k9s*,lens*",
		})}})
		requests[i] = getPods()
		requests[i].Info.Namespace = name
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			book.Note(requests[i%len(requests)], "agent.example.com")
		}
	})
}

func TestNoteAllocatesNothing(t *testing.T) {
	f := newFixture(t, map[string]string{"sleep-after": "60", "ignore-groups": "a,b", "ignore-user-agents": "k9s*"})
	q := getPods()
	if got := testing.AllocsPerRun(1000, func() { f.book.Note(q, "host") }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
