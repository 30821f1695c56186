package management

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/generated/clientset/versioned"
	"loft.sh/agent/generated/informers/externalversions"
)

// TestInformers keep up with what a person sees, through everything that ends a watch.
func TestInformers(t *testing.T) {
	addCluster(t, "informed-1", nil)
	addCluster(t, "informed-2", nil)
	takeAway := addAccess(t, "informed-1", storagev1.ClusterAccessSpec{Clusters: []string{"informed-1"}, Users: []string{"bob"}})
	client, err := versioned.NewForConfig(&rest.Config{
		Host: env.url + "/kubernetes/management", BearerToken: env.keys["bob"], TLSClientConfig: rest.TLSClientConfig{Insecure: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	factory := externalversions.NewSharedInformerFactory(client, 0)
	clusters := factory.Management().V1().Clusters().Lister()
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())
	sees := func(want ...string) func() bool {
		return func() bool {
			list, err := clusters.List(labels.Everything())
			if err != nil || len(list) != len(want) {
				return false
			}
			for _, name := range want {
				if _, err := clusters.Get(name); err != nil {
					return false
				}
			}
			return true
		}
	}
	await(t, "bob sees the first", sees("informed-1"))
	addAccess(t, "informed-2", storagev1.ClusterAccessSpec{Clusters: []string{"informed-2"}, Users: []string{"bob"}})
	await(t, "bob sees the second, which is as it was", sees("informed-1", "informed-2"))
	takeAway()
	await(t, "bob sees the first no more, which is as it was", sees("informed-2"))
	if _, err := env.storage.StorageV1().Clusters().Patch(t.Context(), "informed-2", "application/merge-patch+json",
		[]byte(`{"spec":{"displayName":"Changed"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "bob is told of a change", func() bool {
		cluster, err := clusters.Get("informed-2")
		return err == nil && cluster.Spec.DisplayName == "Changed"
	})
}
