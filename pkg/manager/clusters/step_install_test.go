package clusters

import (
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/installer"
)

func TestInstallAndUpgrade(t *testing.T) {
	w := newWorld(t, quick())
	host, cluster := w.add(t, "eu")
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionAgentDeployed, "True Applied")
	w.change(t, "eu", func(c *storagev1.Cluster) { c.Spec.Agent.Image = "registry.example.com/loft-agent:v2" })
	await(t, "the new image", func() bool { return strings.Contains(text(host, deploymentPath), "loft-agent:v2") })
}

func TestValuesThatGiveNoDeployment(t *testing.T) {
	w := newWorld(t, quick())
	host, cluster := w.add(t, "eu")
	cluster.Spec.Agent.Values = &runtime.RawExtension{Raw: []byte(`{"replica":1}`)}
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionAgentDeployed, "False "+installer.ReasonValuesInvalid)
	if host.Object(deploymentPath) != nil || host.Object("/api/v1/namespaces/loft") != nil {
		t.Error("half of the agent was installed")
	}
	w.change(t, "eu", func(c *storagev1.Cluster) { c.Spec.Agent.Values = nil })
	w.await(t, "eu", storagev1.ConditionAgentReady, "True Ready")
}

func TestIgnoredAgentIsLeftAlone(t *testing.T) {
	w := newWorld(t, quick())
	host, cluster := w.add(t, "eu")
	host.Set("/api/v1/namespaces/loft", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "loft"}})
	cluster.Annotations = map[string]string{storagev1.AnnotationIgnoreAgent: "true"}
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionAgentDeployed, "Unknown AgentIgnored")
	w.await(t, "eu", storagev1.ConditionTrustBundleSynced, "True Pushed")
	w.await(t, "eu", storagev1.ConditionAccessSynced, "True Bound")
	for _, write := range host.Writes() {
		if write != "PATCH "+trustPath && write != "PATCH "+endpointPath {
			t.Errorf("%s, though the agent is to be left alone", write)
		}
	}
}

// TestFailedInstallGoesOn is an API server that refuses for a while.
func TestFailedInstallGoesOn(t *testing.T) {
	w := newWorld(t, quick())
	host, cluster := w.add(t, "eu")
	host.Answer(http.MethodPatch, deploymentPath, answer(503, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"ServiceUnavailable","code":503,"message":"not now"}`))
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionAgentDeployed, "False "+installer.ReasonApplyFailed)
	w.await(t, "eu", storagev1.ConditionAgentReady, "Unknown NotDeployed")
	host.Answer(http.MethodPatch, deploymentPath, nil)
	w.await(t, "eu", storagev1.ConditionAgentReady, "True Ready")
}

// TestAnotherManagerGoesOn ends the one that leads in the middle of an install.
func TestAnotherManagerGoesOn(t *testing.T) {
	w := newWorld(t, quick())
	host, cluster := w.add(t, "eu")
	reached := make(chan struct{}, 100)
	host.Answer(http.MethodPatch, deploymentPath, func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done()
	})
	w.create(t, cluster)
	stop := w.run(t)
	<-reached
	stop()
	if got := w.get(t, "eu"); meta.FindStatusCondition(got.Status.Conditions, storagev1.ConditionAgentDeployed) != nil || host.Object(apiServicePath) != nil {
		t.Errorf("an interrupted install says %v", got.Status.Conditions)
	}
	host.Answer(http.MethodPatch, deploymentPath, nil)
	w.restart(t, quick())
	w.run(t)
	w.await(t, "eu", storagev1.ConditionAgentReady, "True Ready")
	w.await(t, "eu", storagev1.ConditionTrustBundleSynced, "True Pushed")
}
