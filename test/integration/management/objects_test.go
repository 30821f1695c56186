package management

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/accesskey"
)

// removed deletes what a test made.
func removed(t *testing.T, remove func(ctx context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := remove(ctx); err != nil {
			t.Error(err)
		}
	})
}

func addCluster(t *testing.T, name string, annotations map[string]string) {
	t.Helper()
	clusters := env.storage.StorageV1().Clusters()
	if _, err := clusters.Create(t.Context(), &storagev1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Spec:       storagev1.ClusterSpec{DisplayName: "The " + name},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	removed(t, func(ctx context.Context) error { return clusters.Delete(ctx, name, metav1.DeleteOptions{}) })
}

func addAccess(t *testing.T, name string, spec storagev1.ClusterAccessSpec) (remove func()) {
	t.Helper()
	accesses := env.storage.StorageV1().ClusterAccesses()
	if _, err := accesses.Create(t.Context(), &storagev1.ClusterAccess{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	gone := false
	removed(t, func(ctx context.Context) error {
		if gone {
			return nil
		}
		return accesses.Delete(ctx, name, metav1.DeleteOptions{})
	})
	return func() {
		gone = true
		if err := accesses.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func addTeam(t *testing.T, name string, users ...string) {
	t.Helper()
	teams := env.storage.StorageV1().Teams()
	if _, err := teams.Create(t.Context(), &storagev1.Team{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: storagev1.TeamSpec{Users: users}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	removed(t, func(ctx context.Context) error { return teams.Delete(ctx, name, metav1.DeleteOptions{}) })
}

func addUserWith(t *testing.T, name string, spec storagev1.UserSpec) {
	t.Helper()
	users := env.storage.StorageV1().Users()
	if _, err := users.Create(t.Context(), &storagev1.User{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	removed(t, func(ctx context.Context) error { return users.Delete(ctx, name, metav1.DeleteOptions{}) })
}

// addKey returns the secret of a new key.
func addKey(t *testing.T, spec storagev1.AccessKeySpec) string {
	t.Helper()
	keys := env.storage.StorageV1().AccessKeys()
	secret, hash := accesskey.New()
	spec.Key = hash
	key, err := keys.Create(t.Context(), &storagev1.AccessKey{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}, Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	removed(t, func(ctx context.Context) error { return keys.Delete(ctx, key.Name, metav1.DeleteOptions{}) })
	return secret
}

// await waits until something is so.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) { return is(), nil })
	if err != nil {
		t.Fatalf("waited in vain until %s", what)
	}
}
