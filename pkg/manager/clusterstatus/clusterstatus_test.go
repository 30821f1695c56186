package clusterstatus

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/test/fakecentral"
)

type fixture struct {
	client *fakecentral.Client
	writer *Writer
	events *events.FakeRecorder
	clock  *clocktesting.FakePassiveClock
}

func newFixture(cluster *storagev1.Cluster) *fixture {
	f := &fixture{
		client: fakecentral.New(cluster), events: events.NewFakeRecorder(10),
		clock: clocktesting.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
	}
	f.writer = New(f.client.StorageV1().Clusters(), f.events, f.clock)
	return f
}

func newCluster() *storagev1.Cluster {
	return &storagev1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "eu", UID: "uid", Generation: 3}}
}

func (f *fixture) get(t *testing.T) *storagev1.Cluster {
	t.Helper()
	cluster, err := f.client.StorageV1().Clusters().Get(t.Context(), "eu", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// apply applies to the cluster as it is, and says whether anything was written.
func (f *fixture) apply(t *testing.T, part Part, wanted *storagev1.ClusterStatus) (written bool) {
	t.Helper()
	f.client.ClearActions()
	cluster := f.get(t)
	f.client.ClearActions()
	if err := f.writer.Apply(t.Context(), cluster, part, wanted); err != nil {
		t.Fatal(err)
	}
	return len(f.client.Actions()) > 0
}

func connected(reason string, status metav1.ConditionStatus) *storagev1.ClusterStatus {
	wanted := &storagev1.ClusterStatus{ObservedGeneration: 3, ClusterUID: "host"}
	Set(wanted, storagev1.ConditionConnected, status, reason, "because")
	return wanted
}

func TestUnchangedStatusIsNotWritten(t *testing.T) {
	f := newFixture(newCluster())
	if !f.apply(t, Agent, connected("Reached", metav1.ConditionTrue)) {
		t.Fatal("nothing was written")
	}
	first := f.get(t).Status
	if c := first.Conditions[0]; c.ObservedGeneration != 3 || c.Reason != "Reached" || first.ClusterUID != "host" {
		t.Errorf("status %+v", first)
	}
	f.clock.SetTime(f.clock.Now().Add(time.Hour))
	if f.apply(t, Agent, connected("Reached", metav1.ConditionTrue)) {
		t.Error("written though nothing changed")
	}
	if !f.apply(t, Agent, connected("Slowly", metav1.ConditionTrue)) {
		t.Error("another reason was not written")
	}
	if got := f.get(t).Status.Conditions[0].LastTransitionTime; !got.Equal(&first.Conditions[0].LastTransitionTime) {
		t.Errorf("transition at %s, though the status did not change", got)
	}
	f.apply(t, Agent, connected("Timeout", metav1.ConditionFalse))
	if got := f.get(t).Status.Conditions[0].LastTransitionTime; got.Equal(&first.Conditions[0].LastTransitionTime) {
		t.Error("no transition, though the status changed")
	}
}

// TestPartsDoNotUndoEachOther applies from one old state, as two workers with one cache do.
func TestPartsDoNotUndoEachOther(t *testing.T) {
	f := newFixture(newCluster())
	old := f.get(t)
	trust := &storagev1.ClusterStatus{TrustBundle: "sha256:1"}
	Set(trust, storagev1.ConditionTrustBundleSynced, metav1.ConditionTrue, "Pushed", "")
	endpoint := &storagev1.ClusterStatus{Endpoint: &storagev1.ClusterEndpointStatus{URL: "https://eu.example.com", Reachable: true}}
	Set(endpoint, storagev1.ConditionDirectEndpointReachable, metav1.ConditionTrue, "Reachable", "")
	for _, step := range []struct {
		part   Part
		wanted *storagev1.ClusterStatus
	}{{Trust, trust}, {Endpoint, endpoint}, {Agent, connected("Reached", metav1.ConditionTrue)}} {
		if err := f.writer.Apply(t.Context(), old, step.part, step.wanted); err != nil {
			t.Fatal(err)
		}
	}
	got := f.get(t).Status
	if got.TrustBundle == "" || got.Endpoint == nil || got.ClusterUID == "" || len(got.Conditions) != 3 {
		t.Errorf("status %+v", got)
	}
	f.apply(t, Endpoint, &storagev1.ClusterStatus{})
	got = f.get(t).Status
	if got.Endpoint != nil || meta.FindStatusCondition(got.Conditions, storagev1.ConditionDirectEndpointReachable) != nil {
		t.Errorf("what is not wanted any more is still there: %+v", got)
	}
	if len(got.Conditions) != 2 {
		t.Errorf("conditions of others went too: %+v", got.Conditions)
	}
}

func TestEventsOnChange(t *testing.T) {
	f := newFixture(newCluster())
	for _, wanted := range []*storagev1.ClusterStatus{
		connected("Reached", metav1.ConditionTrue), connected("Reached", metav1.ConditionTrue),
		connected("NotConnected", metav1.ConditionUnknown), connected("Timeout", metav1.ConditionFalse),
	} {
		f.apply(t, Agent, wanted)
	}
	close(f.events.Events)
	var got []string
	for event := range f.events.Events {
		got = append(got, event)
	}
	if diff := cmp.Diff([]string{"Normal Reached Connected: because", "Warning Timeout Connected: because"}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestMineLeavesOthersAlone(t *testing.T) {
	cluster := newCluster()
	cluster.Status = storagev1.ClusterStatus{ClusterUID: "host", TrustBundle: "sha256:1", Conditions: connected("Reached", metav1.ConditionTrue).Conditions}
	f := newFixture(cluster)
	if diff := cmp.Diff(&storagev1.ClusterStatus{ClusterUID: "host"}, f.writer.Mine(cluster, Agent)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLongMessageIsCut(t *testing.T) {
	wanted := &storagev1.ClusterStatus{}
	Set(wanted, storagev1.ConditionConnected, metav1.ConditionFalse, "Invalid", strings.Repeat("ä", maxMessage))
	if got := wanted.Conditions[0].Message; len(got) > maxMessage || strings.Trim(got, "ä") != "" {
		t.Errorf("%d bytes", len(got))
	}
}
