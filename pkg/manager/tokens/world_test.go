package tokens

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/generated/clientset/versioned/fake"
	"loft.sh/agent/generated/informers/externalversions"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/access"
)

const (
	testIssuer    = "https://loft.example.com"
	testNamespace = "loft"
)

var testNow = time.Unix(1_800_000_000, 0)

// world is one manager, which leads, and the central cluster that it talks to.
type world struct {
	*Service
	kube    *kubefake.Clientset
	storage *fake.Clientset
	clock   *clocktesting.FakeClock
	policy  *access.Policy
	// full has the central cluster take no ConfigMap more.
	full atomic.Bool
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, UID: types.UID("uid-of-" + name), CreationTimestamp: metav1.NewTime(testNow), Generation: 1}
}

func cluster(name, uid string) *storagev1.Cluster {
	return &storagev1.Cluster{ObjectMeta: named(name), Status: storagev1.ClusterStatus{ClusterUID: uid}}
}

func grant(name string, clusters []string, users, teams []string) *storagev1.ClusterAccess {
	return &storagev1.ClusterAccess{ObjectMeta: named(name), Spec: storagev1.ClusterAccessSpec{Clusters: clusters, Users: users, Teams: teams}}
}

func key(name, owner string, change func(*storagev1.AccessKeySpec)) *storagev1.AccessKey {
	k := &storagev1.AccessKey{ObjectMeta: named(name), Spec: storagev1.AccessKeySpec{User: owner}}
	if change != nil {
		change(&k.Spec)
	}
	return k
}

// newWorld starts a manager with some objects in the central cluster. Its clock stands until it is moved.
func newWorld(t *testing.T, change func(*Options)) *world {
	t.Helper()
	return newWorldOf(t, change, people()...)
}

func newWorldOf(t *testing.T, change func(*Options), objects ...runtime.Object) *world {
	t.Helper()
	w := &world{kube: kubefake.NewClientset(), storage: fake.NewSimpleClientset(), clock: clocktesting.NewFakeClock(testNow)}
	lockOptimistically(w.kube)
	w.kube.PrependReactor("create", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
		return w.full.Load(), nil, errors.New("no answer from etcd")
	})
	for _, object := range objects {
		w.create(t, object)
	}
	w.start(t, change)
	return w
}

// lockOptimistically adds to the fake what real API servers do: it refuses an update of a version that is
// not the newest.
func lockOptimistically(client *kubefake.Clientset) {
	versions, lock := 0, sync.Mutex{}
	stamp := func(action clienttesting.Action) (bool, runtime.Object, error) {
		lock.Lock()
		defer lock.Unlock()
		object, err := meta.Accessor(action.(clienttesting.CreateAction).GetObject()) // updates have it too
		if err != nil {
			return true, nil, err
		}
		if action.GetVerb() == "update" {
			stored, err := client.Tracker().Get(action.GetResource(), action.GetNamespace(), object.GetName())
			if err != nil {
				return true, nil, err
			}
			if newest, err := meta.Accessor(stored); err != nil || newest.GetResourceVersion() != object.GetResourceVersion() {
				return true, nil, apierrors.NewConflict(action.GetResource().GroupResource(), object.GetName(), err)
			}
		}
		versions++
		object.SetResourceVersion(strconv.Itoa(versions))
		return false, nil, nil
	}
	for _, resource := range []string{"configmaps", "secrets"} {
		client.PrependReactor("create", resource, stamp)
		client.PrependReactor("update", resource, stamp)
	}
}

// start starts the manager, with the central cluster as it is.
func (w *world) start(t *testing.T, change func(*Options)) {
	t.Helper()
	informers := externalversions.NewSharedInformerFactory(w.storage, 0)
	directory, err := access.NewDirectory(informers.Storage().V1())
	if err != nil {
		t.Fatal(err)
	}
	w.policy = &access.Policy{Directory: directory, Authorizer: authorizer.AuthorizerFunc(allowAdministrator)}
	options := NewOptions()
	options.Issuer = testIssuer
	if change != nil {
		change(options)
	}
	w.Service, err = New(Config{Options: *options, Client: w.kube, Namespace: testNamespace, Policy: w.policy, Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	informers.StartWithContext(ctx)
	done := make(chan struct{}, 2)
	go func() { w.Run(ctx); done <- struct{}{} }()
	go func() { w.Lead(ctx); done <- struct{}{} }()
	t.Cleanup(func() { stop(); <-done; <-done; informers.Shutdown() })
	if !directory.WaitForSync(ctx) {
		t.Fatal("no sync")
	}
	w.await(t, "keys", func() error { _, err := w.Keys.Ring(); return err })
}

// create goes past the tracker's guess at the plural of an access key.
func (w *world) create(t *testing.T, object runtime.Object) {
	t.Helper()
	plural := strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", object), "*v1.")) + "s"
	if plural == "clusteraccesss" {
		plural = "clusteraccesses"
	}
	if err := w.storage.Tracker().Create(storagev1.SchemeGroupVersion.WithResource(plural), object, ""); err != nil {
		t.Fatal(err)
	}
}

func allowAdministrator(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	switch a.GetUser().GetName() {
	case "loft:user:admin":
		return authorizer.DecisionAllow, "", nil
	case "loft:user:unlucky":
		return authorizer.DecisionNoOpinion, "", errors.New("no answer")
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// await waits until try succeeds, and lets the world's clock go on while it does.
func (w *world) await(t *testing.T, what string, try func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) {
		w.clock.Step(50 * time.Millisecond)
		last = try()
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v: %v", what, err, last)
	}
}

func person(name, accessKey string) user.Info {
	info := &user.DefaultInfo{Name: name}
	if accessKey != "" {
		info.Extra = map[string][]string{access.ExtraAccessKey: {accessKey}}
	}
	return info
}

func (w *world) issue(t *testing.T, info user.Info, spec managementv1.DirectClusterEndpointTokenSpec) string {
	t.Helper()
	status, err := w.Issuer.Issue(t.Context(), info, spec)
	if err != nil {
		t.Fatalf("issue token: %v", err)
	}
	return status.Token
}

// judge asks an agent with the newest bundle of cluster eu about a token.
func (w *world) judge(token string) (*accesstoken.Identity, error) {
	bundle, err := w.Bundles.Bundle(cluster("eu", "uid-eu"))
	if err != nil {
		return nil, err
	}
	data, err := bundle.Encode()
	if err != nil {
		return nil, err
	}
	if bundle, err = accesstoken.ParseBundle(data); err != nil {
		return nil, err
	}
	v := accesstoken.NewVerifier(w.clock)
	v.SetBundle(bundle)
	return v.Verify(token)
}

// verified awaits a bundle that lets the token in.
func (w *world) verified(t *testing.T, token string) {
	t.Helper()
	w.await(t, "token to be accepted", func() error {
		_, err := w.judge(token)
		return err
	})
}

// refused awaits a bundle that refuses the token as revoked.
func (w *world) refused(t *testing.T, token string) {
	t.Helper()
	w.await(t, "token to be revoked", func() error {
		_, err := w.judge(token)
		var refusal *accesstoken.Error
		if errors.As(err, &refusal) && refusal.Reason == accesstoken.ReasonRevoked {
			return nil
		}
		return errors.New("verified with " + fmt.Sprint(err))
	})
}

// claimsOf reads a token without judging it.
func claimsOf(t *testing.T, token string) accesstoken.Claims {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, allAlgorithms)
	if err != nil {
		t.Fatal(err)
	}
	var claims accesstoken.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func contains(text, part string) error {
	if !strings.Contains(text, part) {
		return fmt.Errorf("%q is not in %q", part, text)
	}
	return nil
}

// sameBundle compares the bundles of two managers, which must name some access keys.
func (w *world) sameBundle(other *world, c *storagev1.Cluster, keys int) error {
	var encoded [2]string
	for i, manager := range []*world{w, other} {
		bundle, err := manager.Bundles.Bundle(c)
		if err != nil {
			return err
		}
		if n := len(bundle.Revocations.AccessKeys); n != keys {
			return fmt.Errorf("%d access keys are revoked, want %d", n, keys)
		}
		data, err := bundle.Encode()
		if err != nil {
			return err
		}
		encoded[i] = string(data)
	}
	if diff := cmp.Diff(encoded[0], encoded[1]); diff != "" {
		return errors.New(diff)
	}
	return nil
}
