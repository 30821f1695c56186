package clusters

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	storagev1 "loft.sh/agent/apis/storage/v1"
	storagescheme "loft.sh/agent/generated/clientset/versioned/scheme"
	"loft.sh/agent/generated/informers/externalversions"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/clusters"
	"loft.sh/agent/pkg/manager/connection"
	"loft.sh/agent/test/controlplane"
)

// bundles gives every cluster a bundle of one key, which changes by version.
type bundles struct {
	signer *accesstoken.Signer

	lock    sync.Mutex
	version int
	changed chan struct{}
}

func newBundles(t *testing.T) *bundles {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := accesstoken.NewSigner("https://manager.example.com", key)
	if err != nil {
		t.Fatal(err)
	}
	return &bundles{signer: signer, changed: make(chan struct{})}
}

func (b *bundles) Bundle(cluster *storagev1.Cluster) (*accesstoken.Bundle, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	bundle := &accesstoken.Bundle{Issuer: b.signer.Issuer(), ClusterUID: cluster.Status.ClusterUID}
	bundle.JWKS.Keys = append(bundle.JWKS.Keys, b.signer.PublicJWK())
	bundle.Revocations.TokenIDs = []string{fmt.Sprint("version-", b.version)}
	return bundle, nil
}

func (b *bundles) Changed() <-chan struct{} {
	b.lock.Lock()
	defer b.lock.Unlock()
	return b.changed
}

func (b *bundles) change() string {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.version++
	close(b.changed)
	b.changed = make(chan struct{})
	return fmt.Sprintf("version-%d\"", b.version)
}

// runController runs a controller until the test ends, or what it returns is called.
func runController(t *testing.T, trust *bundles) (stop func()) {
	t.Helper()
	options := clusters.NewOptions()
	options.ResyncPeriod, options.RequestTimeout = time.Second, 5*time.Second
	storage := externalversions.NewSharedInformerFactory(shared.storage, 0)
	core := informers.NewSharedInformerFactoryWithOptions(shared.kube, 0, informers.WithNamespace("loft"))
	secrets := core.Core().V1().Secrets()
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: shared.kube.EventsV1()})
	config := clusters.Config{
		Storage: shared.storage.StorageV1(), Informers: storage.Storage().V1(), Secrets: secrets.Informer(),
		Connections: connection.New(func(_ context.Context, namespace, name string) (*corev1.Secret, error) {
			return secrets.Lister().Secrets(namespace).Get(name)
		}, "loft"),
		Bundles: trust, Signer: trust.signer, Events: broadcaster.NewRecorder(storagescheme.Scheme, "loft-manager"), Clock: clock.RealClock{},
	}
	if err := errors.Join(append(options.Validate(), options.ApplyTo(&config))...); err != nil && !strings.Contains(err.Error(), "cluster-resync-period") {
		t.Fatal(err)
	}
	controller, err := clusters.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		t.Fatal(err)
	}
	storage.StartWithContext(ctx)
	core.StartWithContext(ctx)
	done := make(chan error, 1)
	go func() { done <- controller.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		broadcaster.Shutdown()
	})
	t.Cleanup(stop)
	return stop
}

// setKubeconfig stores a client configuration where the manager finds it.
func setKubeconfig(t *testing.T, name string, config *rest.Config) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := controlplane.WriteKubeconfig(file, name, config); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	setSecret(t, name, data)
}

func setSecret(t *testing.T, name string, kubeconfig []byte) {
	t.Helper()
	client := shared.kube.CoreV1().Secrets("loft")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "loft"}, Data: map[string][]byte{"config": kubeconfig}}
	_, err := client.Create(t.Context(), secret, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = client.Update(t.Context(), secret, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// addCluster makes a Cluster that reads the Secret of its name, and deletes it when the test ends.
func addCluster(t *testing.T, name string, change func(*storagev1.Cluster)) {
	t.Helper()
	cluster := &storagev1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: storagev1.ClusterSpec{Config: storagev1.SecretRef{SecretName: name}}}
	if change != nil {
		change(cluster)
	}
	if _, err := shared.storage.StorageV1().Clusters().Create(t.Context(), cluster, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// deleteCluster waits until a Cluster is gone.
func deleteCluster(t *testing.T, name string) {
	t.Helper()
	client := shared.storage.StorageV1().Clusters()
	if err := client.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of Cluster "+name, func(ctx context.Context) error {
		cluster, err := client.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("still there (%w): %+v", err, cluster.Status.Conditions)
	})
}

func changeCluster(t *testing.T, name string, change func(*storagev1.Cluster)) {
	t.Helper()
	client := shared.storage.StorageV1().Clusters()
	await(t, "change of Cluster "+name, func(ctx context.Context) error {
		cluster, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(cluster)
		_, err = client.Update(ctx, cluster, metav1.UpdateOptions{})
		return err
	})
}

// awaitCondition waits for a condition by status and reason.
func awaitCondition(t *testing.T, name, kind, want string) *storagev1.Cluster {
	t.Helper()
	var cluster *storagev1.Cluster
	await(t, kind+" of Cluster "+name, func(ctx context.Context) (err error) {
		if cluster, err = shared.storage.StorageV1().Clusters().Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err
		}
		condition := meta.FindStatusCondition(cluster.Status.Conditions, kind)
		if condition == nil {
			return errors.New("no such condition")
		}
		if got := string(condition.Status) + " " + condition.Reason; got != want {
			return fmt.Errorf("it is %q (%s), want %q", got, condition.Message, want)
		}
		if condition.ObservedGeneration != cluster.Generation {
			return fmt.Errorf("it is about generation %d of %d", condition.ObservedGeneration, cluster.Generation)
		}
		return nil
	})
	return cluster
}

func await(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	if err := poll(t.Context(), try); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
