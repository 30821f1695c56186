package clusters

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/test/fakehost"
)

// delete asks for a deletion as the API server does where there is a finalizer.
func (w *world) delete(t *testing.T, name string, since time.Duration) {
	t.Helper()
	w.change(t, name, func(c *storagev1.Cluster) {
		at := metav1.NewTime(time.Now().Add(-since))
		c.DeletionTimestamp = &at
	})
}

func TestRemoval(t *testing.T) {
	w := newWorld(t, quick(), user("alice", false), viewers(1, "alice"))
	host, cluster := w.add(t, "eu")
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionAgentReady, "True Ready")
	await(t, "access", may(host, "alice", true))
	w.await(t, "eu", storagev1.ConditionTrustBundleSynced, "True Pushed")
	host.Writes()
	w.delete(t, "eu", 0)
	await(t, "the Cluster's end", func() bool { return w.get(t, "eu") == nil })
	if writes := host.Writes(); len(writes) == 0 || writes[0] != "DELETE "+apiServicePath {
		t.Errorf("writes %q: the APIService must go first", writes)
	}
	left := host.Paths("/")
	slices.Sort(left)
	if diff := cmp.Diff([]string{"/api/v1/namespaces/kube-system", "/api/v1/namespaces/loft"}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if events := strings.Join(w.recorder.events(), "\n"); !strings.Contains(events, "Normal AgentRemoved") {
		t.Errorf("events %s", events)
	}
}

func TestRemovalWithoutTheAgent(t *testing.T) {
	w := newWorld(t, quick())
	host, cluster := w.add(t, "eu")
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionAgentReady, "True Ready")
	w.change(t, "eu", func(c *storagev1.Cluster) { c.Annotations = map[string]string{storagev1.AnnotationIgnoreAgent: "true"} })
	w.await(t, "eu", storagev1.ConditionAgentDeployed, "Unknown AgentIgnored")
	w.delete(t, "eu", 0)
	await(t, "the Cluster's end", func() bool { return w.get(t, "eu") == nil })
	if host.Object(deploymentPath) == nil || host.Object(apiServicePath) == nil {
		t.Error("the agent was taken out")
	}
}

func TestClusterThatWasNeverReachedGoesAtOnce(t *testing.T) {
	w := newWorld(t, quick())
	cluster := newCluster("eu")
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionConnected, "False SecretNotFound")
	w.delete(t, "eu", 0)
	await(t, "the Cluster's end", func() bool { return w.get(t, "eu") == nil })
}

// TestUnreachableClusterCanBeDeleted is a cluster that is gone for good.
func TestUnreachableClusterCanBeDeleted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		since time.Duration
		force bool
	}{
		{name: "by annotation", force: true},
		{name: "after the bound", since: 2 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, quick())
			_, cluster := w.add(t, "eu")
			w.create(t, cluster)
			w.run(t)
			w.await(t, "eu", storagev1.ConditionAgentReady, "True Ready")
			w.setSecret(t, "eu", fakehost.Kubeconfig("https://127.0.0.1:1", nil))
			w.await(t, "eu", storagev1.ConditionConnected, "False ConnectionRefused")
			if tt.force {
				w.delete(t, "eu", 0)
				got := w.await(t, "eu", storagev1.ConditionAgentDeployed, "False RemovalFailed")
				if message := got.Status.Conditions; !strings.Contains(message[0].Message+message[1].Message, storagev1.AnnotationForceDelete) {
					t.Errorf("conditions %+v do not say what to do", message)
				}
				w.change(t, "eu", func(c *storagev1.Cluster) { c.Annotations = map[string]string{storagev1.AnnotationForceDelete: "true"} })
			} else {
				w.delete(t, "eu", tt.since)
			}
			await(t, "the Cluster's end", func() bool { return w.get(t, "eu") == nil })
			if events := strings.Join(w.recorder.events(), "\n"); !strings.Contains(events, "Warning AgentLeftBehind") {
				t.Errorf("events %s", events)
			}
		})
	}
}

func TestRemovalGoesOnAfterAFailure(t *testing.T) {
	w := newWorld(t, quick())
	host, cluster := w.add(t, "eu")
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionAgentReady, "True Ready")
	host.Answer(http.MethodDelete, deploymentPath, answer(403, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"no rule"}`))
	w.delete(t, "eu", 0)
	w.await(t, "eu", storagev1.ConditionAgentDeployed, "False RemovalFailed")
	host.Answer(http.MethodDelete, deploymentPath, nil)
	await(t, "the Cluster's end", func() bool { return w.get(t, "eu") == nil })
}
