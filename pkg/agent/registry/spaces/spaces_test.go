package spaces

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/rights"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// fakeApplier notes what it applied, and as whom.
type fakeApplier struct {
	applied []string
	err     error
}

func (f *fakeApplier) Parse(text string) (Manifests, error) {
	if strings.Contains(text, "broken") {
		return nil, errors.New("document 1: broken")
	}
	if text == "" {
		return nil, nil
	}
	return Manifests{nil}, nil
}

func (f *fakeApplier) Apply(_ context.Context, person user.Info, namespace string, _ Manifests) error {
	f.applied = append(f.applied, person.GetName()+" to "+namespace)
	return f.err
}

// fakeAuthorizer allows what is listed as "verb resource name in namespace".
type fakeAuthorizer []string

func (f fakeAuthorizer) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	resource := a.GetResource()
	if a.GetSubresource() != "" {
		resource += "/" + a.GetSubresource()
	}
	if slices.Contains(f, fmt.Sprintf("%s %s %s in %s", a.GetVerb(), resource, a.GetName(), a.GetNamespace())) {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

type fixture struct {
	*REST
	client  *fake.Clientset
	applier *fakeApplier
}

func newFixture(t testing.TB, allowed fakeAuthorizer, objects ...runtime.Object) *fixture {
	client := fake.NewClientset(objects...)
	factory := informers.NewSharedInformerFactory(client, 0)
	visibility, err := rights.New(factory.Rbac().V1())
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{client: client, applier: &fakeApplier{}}
	f.REST = NewREST(Config{
		Namespaces: factory.Core().V1().Namespaces(), HostClient: client, Visibility: visibility, Authorizer: allowed,
		Applier: f.applier, Now: func() time.Time { return noon },
	})
	if err := f.Follow(); err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := visibility.Visible(&user.DefaultInfo{}); err == nil {
			return f
		}
		if time.Now().After(deadline) {
			t.Fatal("RBAC is not read")
		}
	}
}

func as(t testing.TB, name string, groups ...string) context.Context {
	return request.WithUser(t.Context(), &user.DefaultInfo{Name: name, Groups: groups})
}

func namespace(name, owner string) *corev1.Namespace {
	return &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u", Labels: map[string]string{"loft.sh/user": owner}, CreationTimestamp: metav1.NewTime(noon.Add(-time.Hour))},
		Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
	}
}

func binding(namespace, role, group string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: group, Namespace: namespace}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role},
		Subjects: []rbacv1.Subject{{Kind: "Group", Name: group}},
	}
}

var adminClusterRole = &rbacv1.ClusterRole{
	ObjectMeta: metav1.ObjectMeta{Name: "admin"},
	Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get"}}},
}

func TestCreate(t *testing.T) {
	f := newFixture(t, nil)
	space := &clusterv1.Space{
		ObjectMeta: metav1.ObjectMeta{Name: "my-space", Labels: map[string]string{"team": "x", "loft.sh/user": "forged"}, Annotations: map[string]string{
			"sleepmode.loft.sh/sleep-after": "3600", "loft.sh/display-name": "Mine",
		}},
		Spec: clusterv1.SpaceSpec{Objects: "kind: ConfigMap"},
	}
	made, err := f.Create(as(t, "loft:user:alice"), space, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := made.(*clusterv1.Space)
	if got.Spec.User != "alice" || got.Status.Owner.User.Name != "alice" || got.Status.SleepModeConfig.Spec.SleepAfter != 3600 || got.Spec.Objects != "kind: ConfigMap" {
		t.Errorf("made %+v", got)
	}
	ns, err := f.client.CoreV1().Namespaces().Get(t.Context(), "my-space", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"team": "x", "loft.sh/user": "alice"}, ns.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	bound, err := f.client.RbacV1().RoleBindings("my-space").Get(t.Context(), BindingName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if bound.RoleRef.Name != "admin" || len(bound.Subjects) != 1 || bound.Subjects[0].Name != "loft:user:alice" || bound.Subjects[0].Kind != "Group" {
		t.Errorf("bound %+v", bound)
	}
	if want := []string{"loft:user:alice to my-space"}; !slices.Equal(f.applier.applied, want) {
		t.Errorf("applied %q", f.applier.applied)
	}
	if _, err := f.Create(as(t, "loft:user:bob"), space, nil, &metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) || !strings.Contains(err.Error(), "spaces") {
		t.Errorf("a second one: %v", err)
	}
}

func TestCreateForATeam(t *testing.T) {
	f := newFixture(t, nil)
	space := &clusterv1.Space{ObjectMeta: metav1.ObjectMeta{Name: "my-space"}, Spec: clusterv1.SpaceSpec{Team: "devs"}}
	if _, err := f.Create(as(t, "loft:user:alice"), space, nil, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bound, err := f.client.RbacV1().RoleBindings("my-space").Get(t.Context(), BindingName, metav1.GetOptions{})
	if err != nil || bound.Subjects[0].Name != "loft:team:devs" {
		t.Errorf("bound %+v, error %v", bound, err)
	}
}

func TestCreateFails(t *testing.T) {
	tests := []struct {
		name  string
		space clusterv1.Space
		want  string
	}{
		{"two owners", clusterv1.Space{Spec: clusterv1.SpaceSpec{User: "a", Team: "b"}}, "spec.team"},
		{"no name of a user", clusterv1.Space{Spec: clusterv1.SpaceSpec{User: "a/b"}}, "spec.user"},
		{"broken manifests", clusterv1.Space{Spec: clusterv1.SpaceSpec{Objects: "broken"}}, "spec.objects"},
		{"negative sleep-after", clusterv1.Space{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"sleepmode.loft.sh/sleep-after": "-1"}}}, "sleep-after"},
		{"unknown zone", clusterv1.Space{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"sleepmode.loft.sh/timezone": "Mars/Olympus"}}}, "time zone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, nil)
			tt.space.Name = "my-space"
			_, err := f.Create(as(t, "loft:user:alice"), &tt.space, nil, &metav1.CreateOptions{})
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v", err)
			}
			if _, err := f.client.CoreV1().Namespaces().Get(t.Context(), "my-space", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Error("the namespace was made")
			}
		})
	}
}

// TestUnfinishedIsTakenBack holds that nothing is half made.
func TestUnfinishedIsTakenBack(t *testing.T) {
	f := newFixture(t, nil)
	f.applier.err = apierrors.NewForbidden(corev1.Resource("secrets"), "x", errors.New("no"))
	space := &clusterv1.Space{ObjectMeta: metav1.ObjectMeta{Name: "my-space"}, Spec: clusterv1.SpaceSpec{Objects: "x"}}
	if _, err := f.Create(as(t, "loft:user:alice"), space, nil, &metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("error %v", err)
	}
	if _, err := f.client.CoreV1().Namespaces().Get(t.Context(), "my-space", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Error("the namespace is still there")
	}
}

// TestPodSecurityLabelEscalation repels a person who would make the own space privileged.
func TestPodSecurityLabelEscalation(t *testing.T) {
	for _, key := range []string{"pod-security.kubernetes.io/enforce", "kubernetes.io/x", "x.k8s.io/y"} {
		f := newFixture(t, nil, namespace("team-a", "alice"))
		space := &clusterv1.Space{ObjectMeta: metav1.ObjectMeta{Name: "my-space", Labels: map[string]string{key: "privileged"}}}
		if _, err := f.Create(as(t, "loft:user:alice"), space, nil, &metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s on a new space: %v", key, err)
		}
		current, _ := f.Get(t.Context(), "team-a", nil)
		changed := current.(*clusterv1.Space)
		changed.Labels[key] = "privileged"
		if _, _, err := f.Update(as(t, "loft:user:alice"), "team-a", rest.DefaultUpdatedObjectInfo(changed), nil, nil, false, &metav1.UpdateOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s on a space: %v", key, err)
		}
		f.Authorizer = fakeAuthorizer{"patch namespaces team-a in team-a"}
		if _, _, err := f.Update(as(t, "loft:user:alice"), "team-a", rest.DefaultUpdatedObjectInfo(changed), nil, nil, false, &metav1.UpdateOptions{}); err != nil {
			t.Errorf("%s by somebody who may: %v", key, err)
		}
	}
	enforced := namespace("team-a", "alice")
	enforced.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
	f := newFixture(t, nil, enforced)
	current, _ := f.Get(t.Context(), "team-a", nil)
	without := current.(*clusterv1.Space)
	delete(without.Labels, "pod-security.kubernetes.io/enforce")
	if _, _, err := f.Update(as(t, "loft:user:alice"), "team-a", rest.DefaultUpdatedObjectInfo(without), nil, nil, false, &metav1.UpdateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("removed: %v", err)
	}
}

func TestUpdateAndDelete(t *testing.T) {
	f := newFixture(t, nil, namespace("team-a", "alice"), namespace("other", ""))
	current, err := f.Get(t.Context(), "team-a", nil)
	if err != nil {
		t.Fatal(err)
	}
	changed := current.(*clusterv1.Space).DeepCopy()
	changed.Annotations = map[string]string{"sleepmode.loft.sh/sleep-after": "60"}
	changed.Spec = clusterv1.SpaceSpec{Team: "devs"}
	changed.Status.Phase = "Forged"
	got, _, err := f.Update(as(t, "loft:user:alice"), "team-a", rest.DefaultUpdatedObjectInfo(changed), nil, nil, false, &metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	space := got.(*clusterv1.Space)
	if space.Status.Owner.Team.Name != "devs" || space.Spec.User != "" || space.Status.SleepModeConfig.Spec.SleepAfter != 60 || space.Status.Phase != "Active" {
		t.Errorf("updated %+v", space)
	}
	changed.ResourceVersion = "outdated"
	if _, _, err := f.Update(as(t, "x"), "team-a", rest.DefaultUpdatedObjectInfo(changed), nil, nil, false, &metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("outdated: %v", err)
	}
	if _, _, err := f.Delete(as(t, "x"), "other", nil, &metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("delete what is no space: %v", err)
	}
	if _, _, err := f.Delete(as(t, "x"), "team-a", nil, &metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(t.Context(), "team-a", nil); !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), "spaces.cluster.loft.sh") {
		t.Errorf("after the deletion: %v", err)
	}
}

func names(ctx context.Context, t *testing.T, f *fixture, options *metainternalversion.ListOptions) []string {
	t.Helper()
	list, err := f.List(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, space := range list.(*clusterv1.SpaceList).Items {
		if space.Status.SleepModeConfig == nil {
			t.Errorf("%s has no status.sleepModeConfig: old clients crash", space.Name)
		}
		found = append(found, space.Name)
	}
	slices.Sort(found)
	return found
}

func TestList(t *testing.T) {
	f := newFixture(t, nil, adminClusterRole, namespace("team-a", "alice"), namespace("team-b", "bob"), namespace("plain", ""),
		binding("team-a", "admin", "loft:user:alice"), binding("plain", "admin", "loft:user:alice"))
	if got := names(as(t, "loft:user:alice", "loft:user:alice"), t, f, nil); !slices.Equal(got, []string{"team-a"}) {
		t.Errorf("alice sees %q", got)
	}
	if got := names(as(t, "x", "system:masters"), t, f, nil); !slices.Equal(got, []string{"team-a", "team-b"}) {
		t.Errorf("an administrator sees %q", got)
	}
	if got := names(as(t, "loft:user:eve"), t, f, nil); len(got) != 0 {
		t.Errorf("eve sees %q", got)
	}
	if got, err := f.List(as(t, "loft:user:eve"), nil); err != nil || got.(*clusterv1.SpaceList).Items == nil {
		t.Errorf("no items are null: %v", err)
	}
}

func TestWatch(t *testing.T) {
	f := newFixture(t, nil, adminClusterRole, namespace("team-a", "alice"), namespace("team-b", "bob"), binding("team-a", "admin", "loft:user:alice"))
	w, err := f.Watch(as(t, "loft:user:alice", "loft:user:alice"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	next := func(kind watch.EventType, name string) {
		t.Helper()
		select {
		case e := <-w.ResultChan():
			if e.Type != kind || e.Object.(*clusterv1.Space).Name != name {
				t.Fatalf("%s %v, want %s %s", e.Type, e.Object, kind, name)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no %s of %s", kind, name)
		}
	}
	next(watch.Added, "team-a")
	changed := namespace("team-a", "alice")
	changed.ResourceVersion, changed.Annotations = "77", map[string]string{"x": "y"}
	if _, err := f.client.CoreV1().Namespaces().Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	next(watch.Modified, "team-a")
	if _, err := f.client.RbacV1().RoleBindings("team-b").Create(t.Context(), binding("team-b", "admin", "loft:user:alice"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	next(watch.Added, "team-b")
	if err := f.client.RbacV1().RoleBindings("team-a").Delete(t.Context(), "loft:user:alice", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	next(watch.Deleted, "team-a")
	f.floor.raise(100)
	if _, err := f.Watch(as(t, "x"), &metainternalversion.ListOptions{ResourceVersion: "99"}); !apierrors.IsResourceExpired(err) {
		t.Errorf("an old version: %v", err)
	}
}

func TestAuthorizer(t *testing.T) {
	a := NewAuthorizer(fakeAuthorizer{
		"delete spaces/manage team-a in team-a", "get namespaces team-b in team-b", "create spaces  in ", "delete spaces team-c in team-c",
		"get spaces team-c in team-c", "get spaces team-c in ", "deletecollection spaces  in ", "deletecollection spaces/manage  in ",
	})
	tests := []struct {
		verb, resource, name, namespace string
		want                            bool
	}{
		{"list", "spaces", "", "", true},
		{"watch", "spaces", "team-a", "", true},
		{"create", "spaces", "", "", true},
		{"delete", "spaces", "team-a", "", true},
		{"delete", "spaces", "team-b", "", false},
		{"get", "spaces", "team-b", "", true},
		{"get", "spaces", "team-c", "", false},
		{"delete", "spaces", "team-c", "", false},
		{"deletecollection", "spaces", "", "", false},
		{"list", "sleepmodeconfigs", "", "", false},
	}
	for _, tt := range tests {
		decision, _, _ := a.Authorize(t.Context(), authorizer.AttributesRecord{
			Verb: tt.verb, APIGroup: "cluster.loft.sh", Resource: tt.resource, Name: tt.name, Namespace: tt.namespace, ResourceRequest: true, User: &user.DefaultInfo{},
		})
		if got := decision == authorizer.DecisionAllow; got != tt.want {
			t.Errorf("%s %s %s: %t, want %t", tt.verb, tt.resource, tt.name, got, tt.want)
		}
	}
}

// BenchmarkList lists 5,000 namespaces for a person with some of 2,000 bindings, whose RBAC has just
// changed, and for an administrator who sees all.
func BenchmarkList(b *testing.B) {
	objects := []runtime.Object{adminClusterRole}
	for i := range 5000 {
		n := namespace(fmt.Sprintf("space-%d", i), "alice")
		n.Annotations = map[string]string{
			"sleepmode.loft.sh/sleep-after": "3600", "sleepmode.loft.sh/last-activity": strconv.FormatInt(noon.Unix()-100, 10),
			"sleepmode.loft.sh/last-activity-info":  `{"subject":"alice","host":"agent.example.com","verb":"get","resource":"pods"}`,
			"sleepmode.loft.sh/current-epoch-start": strconv.FormatInt(noon.Unix()-100000, 10), "sleepmode.loft.sh/current-epoch-slept": "1000",
			"sleepmode.loft.sh/sleep-schedule": "0 22 * * *", "sleepmode.loft.sh/scheduled-sleep": strconv.FormatInt(noon.Unix()+3600, 10),
		}
		objects = append(objects, n)
	}
	for i := range 2000 {
		objects = append(objects, binding(fmt.Sprintf("space-%d", i), "admin", fmt.Sprintf("loft:team:%d", i%20)))
	}
	f := newFixture(b, nil, objects...)
	for name, ctx := range map[string]context.Context{
		"person": as(b, "loft:user:alice", "loft:team:1", "loft:team:2", "loft:team:3"), "administrator": as(b, "x", "system:masters"),
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if _, err := f.List(ctx, nil); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
