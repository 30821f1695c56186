package clusters

import (
	"net/http"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/connection"
	"loft.sh/agent/pkg/manager/hosts"
	"loft.sh/agent/pkg/manager/netfault"
	"loft.sh/agent/test/fakehost"
)

func TestConnect(t *testing.T) {
	w := newWorld(t, quick())
	_, cluster := w.add(t, "eu")
	w.create(t, cluster)
	w.run(t)
	got := w.await(t, "eu", storagev1.ConditionConnected, "True Reached")
	if got.Status.ClusterUID != "host-eu" || got.Status.KubernetesVersion != "v1.37.2" || got.Status.ObservedGeneration != 1 {
		t.Errorf("status %+v", got.Status)
	}
}

// TestBadKubeconfigs has each reason, and nothing done in the cluster.
func TestBadKubeconfigs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *world, host *fakehost.Host, cluster *storagev1.Cluster)
		want   string
	}{
		{"no Secret named", func(_ *world, _ *fakehost.Host, c *storagev1.Cluster) { c.Spec.Config.SecretName = "" }, connection.ReasonNoSecret},
		{"no such Secret", func(_ *world, _ *fakehost.Host, c *storagev1.Cluster) { c.Spec.Config.SecretName = "us" }, connection.ReasonSecretNotFound},
		{"no such key", func(_ *world, _ *fakehost.Host, c *storagev1.Cluster) { c.Spec.Config.Key = "other" }, connection.ReasonKeyNotFound},
		{"malformed", func(w *world, _ *fakehost.Host, _ *storagev1.Cluster) { w.setSecret(t, "eu", []byte("t0p-secret: [")) }, connection.ReasonKubeconfigInvalid},
		{"nobody there", func(w *world, _ *fakehost.Host, _ *storagev1.Cluster) {
			w.setSecret(t, "eu", fakehost.Kubeconfig("https://127.0.0.1:1", nil))
		}, netfault.ConnectionRefused},
		{"certificate of somebody else", func(w *world, _ *fakehost.Host, _ *storagev1.Cluster) {
			w.setSecret(t, "eu", fakehost.Kubeconfig(w.server.URL+"/eu", nil))
		}, netfault.CertificateUnknownAuthority},
		{"another cluster", func(_ *world, _ *fakehost.Host, c *storagev1.Cluster) { c.Status.ClusterUID = "host-us" }, hosts.ReasonAnotherCluster},
		{"credential refused", func(_ *world, h *fakehost.Host, _ *storagev1.Cluster) {
			h.Answer("GET", "/api/v1/namespaces/kube-system", answer(401, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401}`))
		}, "Unauthorized"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, quick())
			host, cluster := w.add(t, "eu")
			tt.change(w, host, cluster)
			w.create(t, cluster)
			w.run(t)
			got := w.await(t, "eu", storagev1.ConditionConnected, "False "+tt.want)
			w.await(t, "eu", storagev1.ConditionAgentDeployed, "Unknown NotConnected")
			w.await(t, "eu", storagev1.ConditionTrustBundleSynced, "False NotConnected")
			w.await(t, "eu", storagev1.ConditionAccessSynced, "False NotConnected")
			if writes := host.Writes(); len(writes) > 0 {
				t.Errorf("writes %q", writes)
			}
			if got.Status.ClusterUID != cluster.Status.ClusterUID {
				t.Errorf("UID %q", got.Status.ClusterUID)
			}
		})
	}
}

func TestMendedKubeconfigIsTakenAtOnce(t *testing.T) {
	options := quick()
	options.ResyncPeriod *= 1000
	w := newWorld(t, options)
	_, cluster := w.add(t, "eu")
	good := w.server.Kubeconfig("eu")
	w.setSecret(t, "eu", []byte("{"))
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionConnected, "False "+connection.ReasonKubeconfigInvalid)
	w.setSecret(t, "eu", good)
	w.await(t, "eu", storagev1.ConditionConnected, "True Reached")
	w.await(t, "eu", storagev1.ConditionTrustBundleSynced, "True Pushed")
}

func TestSecondClusterOfOneUIDIsRefused(t *testing.T) {
	w := newWorld(t, quick())
	_, first := w.add(t, "eu")
	second := newCluster("copy")
	second.Spec.Config.SecretName = "eu"
	first.CreationTimestamp, second.CreationTimestamp = metav1.Unix(1, 0), metav1.Unix(2, 0)
	w.create(t, first)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionConnected, "True Reached")
	w.create(t, second)
	got := w.await(t, "copy", storagev1.ConditionConnected, "False "+hosts.ReasonDuplicate)
	if got.Status.ClusterUID != "" {
		t.Errorf("the UID %q is recorded twice", got.Status.ClusterUID)
	}
}

// TestUnchangedStatusWakesNobody counts what is written while nothing happens.
func TestUnchangedStatusWakesNobody(t *testing.T) {
	w := newWorld(t, quick())
	host, cluster := w.add(t, "eu")
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionAgentReady, "True Ready")
	w.await(t, "eu", storagev1.ConditionTrustBundleSynced, "True Pushed")
	w.await(t, "eu", storagev1.ConditionAccessSynced, "True Bound")
	version := w.get(t, "eu").ResourceVersion
	var asked atomic.Int32
	host.Writes()
	host.Answer("GET", "/version", func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(200, `{"gitVersion":"v1.37.2"}`)(rw, r)
	})
	await(t, "some passes", func() bool { return asked.Load() > 5 })
	if got := w.get(t, "eu").ResourceVersion; got != version {
		t.Errorf("resource version %s after %s, though nothing changed", got, version)
	}
	if writes := host.Writes(); len(writes) > 0 {
		t.Errorf("writes %q in the cluster, though nothing changed", writes)
	}
}
