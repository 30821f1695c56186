package clusters

import (
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/fakehost"
)

func bundleIn(host *fakehost.Host) string {
	data, _, _ := unstructured.NestedString(host.Object(trustPath), "data", "bundle.json")
	return data
}

func TestTrustIsPushedOnChange(t *testing.T) {
	w := newWorld(t, slowly())
	host, cluster := w.add(t, "eu")
	// A push that fails for want of the namespace would be repeated a second later, whatever changes.
	host.Set("/api/v1/namespaces/loft", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "loft"}})
	w.create(t, cluster)
	w.run(t)
	// Nothing else leads to a push after that.
	w.await(t, "eu", storagev1.ConditionAgentReady, "True Ready")
	first := w.await(t, "eu", storagev1.ConditionTrustBundleSynced, "True Pushed").Status.TrustBundle
	bundle, err := accesstoken.ParseBundle([]byte(bundleIn(host)))
	if err != nil || bundle.ClusterUID != "host-eu" {
		t.Errorf("bundle %+v, error %v", bundle, err)
	}
	version := w.bundles.change()
	await(t, "the changed bundle", func() bool { return strings.Contains(bundleIn(host), version) })
	await(t, "its digest", func() bool { got := w.get(t, "eu").Status.TrustBundle; return got != first && got != "" })
}

func TestFailedPushIsShownAndRepeated(t *testing.T) {
	w := newWorld(t, quick())
	host, cluster := w.add(t, "eu")
	host.Answer(http.MethodPatch, trustPath, answer(403, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"no rule"}`))
	w.create(t, cluster)
	w.run(t)
	if got := w.await(t, "eu", storagev1.ConditionTrustBundleSynced, "False PushFailed").Status.TrustBundle; got != "" {
		t.Errorf("digest %q of a bundle that was not pushed", got)
	}
	version := w.bundles.change()
	host.Answer(http.MethodPatch, trustPath, nil)
	w.await(t, "eu", storagev1.ConditionTrustBundleSynced, "True Pushed")
	if !strings.Contains(bundleIn(host), version) {
		t.Error("not the newest bundle")
	}
}

// TestTrustDoesNotWaitForInstalls has an install that never ends.
func TestTrustDoesNotWaitForInstalls(t *testing.T) {
	options := quick()
	options.Workers = 1
	w := newWorld(t, options)
	host, cluster := w.add(t, "eu")
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionAgentReady, "True Ready")
	slow, other := w.add(t, "us")
	reached := make(chan struct{}, 100)
	slow.Answer(http.MethodPatch, deploymentPath, func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done()
	})
	w.create(t, other)
	<-reached
	version := w.bundles.change()
	await(t, "the changed bundle", func() bool {
		return strings.Contains(bundleIn(host), version) && strings.Contains(bundleIn(slow), version)
	})
}

func TestForgedTrustIsReplaced(t *testing.T) {
	w := newWorld(t, quick())
	host, cluster := w.add(t, "eu")
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionTrustBundleSynced, "True Pushed")
	w.controller.pushes.forget(cluster.UID) // as after the time that a push counts
	forged := host.Object(trustPath)
	_ = unstructured.SetNestedField(forged, "{}", "data", "bundle.json")
	host.Set(trustPath, forged)
	await(t, "the bundle", func() bool { return bundleIn(host) != "{}" })
}
