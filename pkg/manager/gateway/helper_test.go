package gateway

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	utilwaitgroup "k8s.io/apimachinery/pkg/util/waitgroup"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/rest"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/generated/clientset/versioned/fake"
	storageclient "loft.sh/agent/generated/clientset/versioned/typed/storage/v1"
	"loft.sh/agent/generated/informers/externalversions"
	"loft.sh/agent/pkg/bearer"
	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/connection"
)

// patience is what the issue gives open streams to end.
const patience = 10 * time.Second

// world is a gateway and what it stands on. Bearer tokens are names of access keys, or of others that
// newWorld knows.
type world struct {
	url         string
	storage     storageclient.StorageV1Interface
	policy      *access.Policy
	connections *fakeConnections
	events      *sink
	gateway     *Gateway
	// refusesAdmins is closed when the central cluster's RBAC says no to administrators, too.
	refusesAdmins chan struct{}
	// asked is how often that RBAC was asked.
	asked atomic.Int64
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Generation: 1}
}

func key(name string, spec storagev1.AccessKeySpec) *storagev1.AccessKey {
	return &storagev1.AccessKey{ObjectMeta: named(name), Spec: spec}
}

func cluster(name string) *storagev1.Cluster { return &storagev1.Cluster{ObjectMeta: named(name)} }

func people() []runtime.Object {
	return []runtime.Object{
		cluster("eu"), cluster("us"), cluster("broken"), cluster("down"),
		&storagev1.User{ObjectMeta: named("alice")},
		&storagev1.User{ObjectMeta: named("admin")},
		&storagev1.User{ObjectMeta: named("unlucky")},
		&storagev1.Team{ObjectMeta: named("core"), Spec: storagev1.TeamSpec{Users: []string{"alice"}}},
		&storagev1.ClusterAccess{ObjectMeta: named("alice"), Spec: storagev1.ClusterAccessSpec{
			Clusters: []string{"eu", "broken", "down", "ghost"}, Users: []string{"alice"},
		}},
	}
}

func accessKeys() []*storagev1.AccessKey {
	inEU := func(scope storagev1.AccessScope) storagev1.AccessKeySpec {
		return storagev1.AccessKeySpec{User: "alice", Scope: &scope}
	}
	return []*storagev1.AccessKey{
		key("alice-key", storagev1.AccessKeySpec{User: "alice"}),
		key("admin-key", storagev1.AccessKeySpec{User: "admin"}),
		key("unlucky-key", storagev1.AccessKeySpec{User: "unlucky"}),
		key("team-key", storagev1.AccessKeySpec{Team: "core"}),
		key("reader", inEU(storagev1.AccessScope{ReadOnly: true})),
		key("team-a", inEU(storagev1.AccessScope{Spaces: []storagev1.AccessScopeSpace{{Cluster: "eu", Space: "team-a"}}})),
		key("dev", inEU(storagev1.AccessScope{VirtualClusters: []storagev1.AccessScopeVirtualCluster{
			{Cluster: "eu", Space: "team-a", VirtualCluster: "dev"},
		}})),
	}
}

// newWorld has cluster "eu" served by host; "us" is another's, "broken" has no Secret and "down" no
// API server.
func newWorld(t testing.TB, host http.Handler) *world {
	t.Helper()
	client := fake.NewSimpleClientset(people()...)
	for _, key := range accessKeys() {
		// The constructor would guess another plural, and so would its successor.
		if _, err := client.StorageV1().AccessKeys().Create(t.Context(), key, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	factory := externalversions.NewSharedInformerFactory(client, 0)
	informers := factory.Storage().V1()
	directory, err := access.NewDirectory(informers)
	if err != nil {
		t.Fatal(err)
	}
	gone := httptest.NewTLSServer(nil)
	down := configFor(gone)
	gone.Close()
	w := &world{
		storage: client.StorageV1(), events: &sink{}, refusesAdmins: make(chan struct{}),
		connections: &fakeConnections{configs: map[string]*rest.Config{"eu": serve(t, host), "us": serve(t, http.NotFoundHandler()), "down": down}},
	}
	w.policy = &access.Policy{Directory: directory, Authorizer: authorizer.AuthorizerFunc(w.authorize)}
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	rules, err := policy.LoadPolicyFromBytes([]byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	w.gateway, err = New(&Config{
		Authenticator: keys{directory}, Policy: w.policy, Clusters: informers.Clusters(), Connections: w.connections,
		AuditSink: w.events, AuditPolicy: policy.NewPolicyRuleEvaluator(rules),
		Serializer: serializer.NewCodecFactory(scheme), Timeout: time.Minute, MaxInFlight: 100, MaxMutatingInFlight: 100,
		InFlight: &utilwaitgroup.SafeWaitGroup{},
	})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(w.gateway)
	w.url = front.URL
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { front.CloseClientConnections(); front.Close(); stop(); <-done })
	factory.Start(ctx.Done())
	go func() { defer close(done); w.gateway.Run(ctx) }()
	if !directory.WaitForSync(ctx) || !eventually(w.gateway.Ready) {
		t.Fatal("not ready")
	}
	return w
}

// authorize is the central cluster's RBAC.
func (w *world) authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	w.asked.Add(1)
	switch a.GetUser().GetName() {
	case "loft:user:unlucky":
		return authorizer.DecisionNoOpinion, "", errors.New("no answer")
	case "loft:user:admin":
		select {
		case <-w.refusesAdmins:
		default:
			return authorizer.DecisionAllow, "", nil
		}
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// serve starts an API server over TLS with HTTP/2 and HTTP/1.1.
func serve(t testing.TB, handler http.Handler) *rest.Config {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return configFor(server)
}

func configFor(server *httptest.Server) *rest.Config {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &rest.Config{Host: server.URL, BearerToken: "managers", TLSClientConfig: rest.TLSClientConfig{CAData: ca}}
}

// agent makes answers those of an agent.
func agent(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(doors.AgentHeader, "true")
		handler(w, r)
	}
}

// keys authenticates by the names of access keys.
type keys struct{ directory *access.Directory }

func (k keys) Authenticate(r *http.Request) (door.Caller, error) {
	token := bearer.Token(r.Header)
	switch token {
	case "central":
		return door.Caller{User: &user.DefaultInfo{Name: "system:serviceaccount:default:x", Groups: []string{user.AllAuthenticated}}}, nil
	case "masters":
		return door.Caller{User: &user.DefaultInfo{Name: "loft:user:admin", Groups: []string{user.SystemPrivilegedGroup}}}, nil
	}
	found, err := k.directory.AccessKey(token)
	if err != nil || found.Spec.Disabled {
		return door.Caller{}, errors.New("access key not known")
	}
	if found.Spec.Team != "" {
		team, err := k.directory.Team(found.Spec.Team)
		return door.Caller{User: k.directory.TeamInfo(team, found)}, err
	}
	u, err := k.directory.User(found.Spec.User)
	if err != nil {
		return door.Caller{}, err
	}
	return door.Caller{User: k.directory.UserInfo(u, found)}, nil
}

// fakeConnections knows the configurations of clusters by name.
type fakeConnections struct {
	lock    sync.Mutex
	configs map[string]*rest.Config
	// failing is the reason why nothing can be had; empty: it can.
	failing string
}

func (c *fakeConnections) Config(_ context.Context, cluster *storagev1.Cluster) (*rest.Config, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.failing != "" {
		return nil, &connection.Error{Reason: c.failing, Message: "secret words"}
	}
	if config := c.configs[cluster.Name]; config != nil {
		return config, nil
	}
	return nil, &connection.Error{Reason: connection.ReasonSecretNotFound, Message: "secret words"}
}

func (c *fakeConnections) set(name string, config *rest.Config) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.configs[name] = config
}

// sink remembers audit events.
type sink struct {
	lock   sync.Mutex
	events []*auditinternal.Event
}

func (s *sink) ProcessEvents(events ...*auditinternal.Event) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, event := range events {
		s.events = append(s.events, event.DeepCopy())
	}
	return true
}

// eventually waits for a condition that nothing announces.
func eventually(condition func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !condition(); {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}

// send sends a request as the owner of the access key.
func (w *world) send(t *testing.T, key, method, path string, change ...func(*http.Request)) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	for _, do := range change {
		do(r)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// status reads an answer that must be a metav1.Status.
func status(t *testing.T, res *http.Response) metav1.Status {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var s metav1.Status
	if err := json.Unmarshal(body, &s); err != nil || s.Kind != "Status" {
		t.Fatalf("%d %q is no Status: %v", res.StatusCode, body, err)
	}
	if strings.Contains(s.Message, "secret") {
		t.Errorf("message %q tells of secrets", s.Message)
	}
	return s
}
