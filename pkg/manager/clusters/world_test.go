package clusters

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	k8sfake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/clock"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/generated/informers/externalversions"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/connection"
	"loft.sh/agent/test/fakecentral"
	"loft.sh/agent/test/fakehost"
)

const (
	trustPath      = "/api/v1/namespaces/loft/configmaps/loft-agent-trust"
	deploymentPath = "/apis/apps/v1/namespaces/loft/deployments/loft-agent"
	apiServicePath = "/apis/apiregistration.k8s.io/v1/apiservices/v1.cluster.loft.sh"
	rolesPath      = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/"
	endpointPath   = rolesPath + "loft-agent-endpoint-user"
)

// bundles gives each cluster a bundle that says which version it is by what it revokes.
type bundles struct {
	signer *accesstoken.Signer

	lock    sync.Mutex
	version int
	changed chan struct{}
}

func newBundles(t *testing.T) *bundles {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
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

// change makes the next version and returns what its bundles hold.
func (b *bundles) change() string {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.version++
	close(b.changed)
	b.changed = make(chan struct{})
	return fmt.Sprintf("version-%d\"", b.version)
}

// recorder keeps events.
type recorder struct {
	lock sync.Mutex
	all  []string
}

func (r *recorder) Eventf(_, _ runtime.Object, kind, reason, _, note string, args ...any) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.all = append(r.all, kind+" "+reason+" "+fmt.Sprintf(note, args...))
}

func (r *recorder) events() []string {
	r.lock.Lock()
	defer r.lock.Unlock()
	return append([]string(nil), r.all...)
}

// world is a central cluster and connected ones, all fakes.
type world struct {
	central    *fakecentral.Client
	secrets    *k8sfake.Clientset
	server     *fakehost.Server
	bundles    *bundles
	recorder   *recorder
	controller *Controller
	factories  []interface{ Start(<-chan struct{}) }
}

// quick looks at everything all the time, so that tests need not wait.
func quick() Options {
	return Options{Workers: 8, ResyncPeriod: 100 * time.Millisecond, RequestTimeout: 5 * time.Second, ProbePeriod: 100 * time.Millisecond, RemovalTimeout: time.Hour}
}

func newWorld(t *testing.T, options Options, objects ...runtime.Object) *world {
	t.Helper()
	w := &world{
		central: fakecentral.New(objects...), secrets: k8sfake.NewClientset(), server: fakehost.Start(),
		bundles: newBundles(t), recorder: &recorder{},
	}
	t.Cleanup(w.server.Close)
	w.restart(t, options)
	return w
}

// restart makes another controller, which knows nothing, as another manager has.
func (w *world) restart(t *testing.T, options Options) {
	t.Helper()
	storage := externalversions.NewSharedInformerFactory(w.central, 0)
	core := informers.NewSharedInformerFactory(w.secrets, 0)
	secrets := core.Core().V1().Secrets()
	w.factories = []interface{ Start(<-chan struct{}) }{storage, core}
	var err error
	w.controller, err = New(Config{
		Options: options, Storage: w.central.StorageV1(), Informers: storage.Storage().V1(), Secrets: secrets.Informer(),
		Connections: connection.New(func(_ context.Context, namespace, name string) (*corev1.Secret, error) {
			return secrets.Lister().Secrets(namespace).Get(name)
		}, "loft"),
		Bundles: w.bundles, Signer: w.bundles.signer, Events: w.recorder, Clock: clock.RealClock{},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run starts the controller and stops it when the test ends, or when what it returns is called.
func (w *world) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	for _, factory := range w.factories {
		factory.Start(ctx.Done())
	}
	done := make(chan error, 1)
	go func() { done <- w.controller.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// add makes a connected cluster with an agent that is ready, and returns its Cluster, which is not in the
// central cluster yet.
func (w *world) add(t *testing.T, name string) (*fakehost.Host, *storagev1.Cluster) {
	t.Helper()
	host := w.server.Add(name, "host-"+name)
	host.SetStatus(apiServicePath, map[string]any{"conditions": []any{map[string]any{"type": "Available", "status": "True"}}})
	host.Answer(http.MethodGet, agentPath, answer(200, `{"kind":"Kubernetes","apiVersion":"cluster.loft.sh/v1","metadata":{"name":"cluster"},
		"status":{"agentVersion":"v0.9.0","hostUID":"host-`+name+`","conditions":[{"type":"Ready","status":"True"}]}}`))
	w.setSecret(t, name, w.server.Kubeconfig(name))
	return host, newCluster(name)
}

func newCluster(name string) *storagev1.Cluster {
	return &storagev1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Generation: 1},
		Spec:       storagev1.ClusterSpec{Config: storagev1.SecretRef{SecretName: name}},
	}
}

func answer(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// setSecret creates or replaces a kubeconfig.
func (w *world) setSecret(t *testing.T, name string, kubeconfig []byte) {
	t.Helper()
	client := w.secrets.CoreV1().Secrets("loft")
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "loft", ResourceVersion: rand.Text()}, Data: map[string][]byte{"config": kubeconfig},
	}
	_, err := client.Get(t.Context(), name, metav1.GetOptions{})
	if err == nil {
		_, err = client.Update(t.Context(), secret, metav1.UpdateOptions{})
	} else {
		// The client itself looks through every type that there is.
		err = w.secrets.Tracker().Add(secret)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) create(t *testing.T, cluster *storagev1.Cluster) {
	t.Helper()
	if _, err := w.central.StorageV1().Clusters().Create(t.Context(), cluster, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// change changes a Cluster as people do, and counts a generation.
func (w *world) change(t *testing.T, name string, change func(*storagev1.Cluster)) {
	t.Helper()
	await(t, "change of "+name, func() bool {
		cluster := w.get(t, name)
		change(cluster)
		cluster.Generation++
		_, err := w.central.StorageV1().Clusters().Update(t.Context(), cluster, metav1.UpdateOptions{})
		return err == nil
	})
}

// get returns nil where there is no such Cluster.
func (w *world) get(t *testing.T, name string) *storagev1.Cluster {
	t.Helper()
	cluster, err := w.central.StorageV1().Clusters().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return cluster
}

// await waits for a condition of a Cluster, by status and reason.
func (w *world) await(t *testing.T, name, kind, want string) *storagev1.Cluster {
	t.Helper()
	var last string
	var cluster *storagev1.Cluster
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		if cluster = w.get(t, name); cluster == nil {
			return false, nil
		}
		condition := meta.FindStatusCondition(cluster.Status.Conditions, kind)
		if condition == nil {
			return want == "", nil
		}
		last = string(condition.Status) + " " + condition.Reason
		return last == want, nil
	})
	if err != nil {
		t.Fatalf("cluster %s: condition %s is %q, want %q", name, kind, last, want)
	}
	w.noSecrets(t, cluster)
	return cluster
}

// noSecrets looks for the fakes' credential where people see it.
func (w *world) noSecrets(t *testing.T, cluster *storagev1.Cluster) {
	t.Helper()
	if text := fmt.Sprint(cluster.Status, w.recorder.events()); strings.Contains(text, "t0p-secret") {
		t.Errorf("a credential is in a condition or an event: %s", text)
	}
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 30*time.Second, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// text is an object as JSON would show it.
func text(host *fakehost.Host, path string) string { return fmt.Sprint(host.Object(path)) }
