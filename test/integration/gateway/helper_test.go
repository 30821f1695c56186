package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilwaitgroup "k8s.io/apimachinery/pkg/util/waitgroup"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/generated/clientset/versioned/fake"
	storageclient "loft.sh/agent/generated/clientset/versioned/typed/storage/v1"
	"loft.sh/agent/generated/informers/externalversions"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/bearer"
	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/gateway"
)

const (
	cluster = "eu"
	// patience bounds what must happen soon.
	patience = 10 * time.Second
)

// centre is a gateway and the state that it reads.
type centre struct {
	url     string
	storage storageclient.StorageV1Interface
}

// newCentre has users alice, who is a cluster admin in the cluster, and bob, who may use it and
// nothing in it. Their names are their access keys.
func newCentre(t *testing.T) *centre {
	t.Helper()
	person := func(name string) *storagev1.User {
		return &storagev1.User{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid-of-" + "a-user"}}
	}
	client := fake.NewSimpleClientset(
		&storagev1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: cluster}}, person("alice"), person("bob"),
		&storagev1.ClusterAccess{
			ObjectMeta: metav1.ObjectMeta{Name: "everybody"},
			Spec:       storagev1.ClusterAccessSpec{Clusters: []string{cluster}, Users: []string{storagev1.Everything}},
		})
	factory := externalversions.NewSharedInformerFactory(client, 0)
	informers := factory.Storage().V1()
	directory, err := access.NewDirectory(informers)
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	clients, err := doors.ParseClientAddresses("trusted-proxies", []string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(&gateway.Config{
		Authenticator: names{directory}, Policy: &access.Policy{Directory: directory, Authorizer: authorizer.AuthorizerFunc(nobody)},
		Clusters: informers.Clusters(), Connections: connections{}, Clients: clients,
		Serializer: serializer.NewCodecFactory(scheme), Timeout: time.Minute, InFlight: &utilwaitgroup.SafeWaitGroup{},
	})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewUnstartedServer(g)
	front.EnableHTTP2 = true
	front.StartTLS()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.Cleanup(func() { front.CloseClientConnections(); front.Close(); stop(); <-ended })
	factory.Start(ctx.Done())
	go func() { defer close(ended); g.Run(ctx) }()
	c := &centre{url: front.URL, storage: client.StorageV1()}
	await(t, "the gateway is ready", g.Ready)
	return c
}

func nobody(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return authorizer.DecisionNoOpinion, "", nil
}

// names authenticates by the names of users.
type names struct{ directory *access.Directory }

func (n names) Authenticate(r *http.Request) (door.Caller, error) {
	u, err := n.directory.User(bearer.Token(r.Header))
	if err != nil {
		return door.Caller{}, errors.New("access key not known")
	}
	return door.Caller{User: n.directory.UserInfo(u, nil)}, nil
}

type connections struct{}

func (connections) Config(context.Context, *storagev1.Cluster) (*rest.Config, error) {
	return sharedAccount, nil
}

// way is how a user reaches the cluster through the gateway.
func (c *centre) way(user string) *rest.Config {
	return &rest.Config{
		Host: c.url + gateway.ClusterPrefix + "/" + cluster, BearerToken: user,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1,
	}
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// client is a client of whoever config is for.
func client(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// bindAlice makes alice a cluster admin for as long as the test runs.
func bindAlice(t *testing.T) {
	t.Helper()
	bindings := client(t, shared.Cluster().RESTConfig()).RbacV1().ClusterRoleBindings()
	binding, err := bindings.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "alice-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: accesstoken.PersonName("alice")}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bindings.Delete(context.WithoutCancel(t.Context()), binding.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}
