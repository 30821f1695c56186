package bindings

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/test/fakehost"
)

// known are the people that there are.
type known []string

func (k known) HasUser(name string) bool { return slices.Contains(k, "user "+name) }
func (k known) HasTeam(name string) bool { return slices.Contains(k, "team "+name) }

var people = known{"user alice", "user bob", "team dev"}

func access(name string, spec storagev1.ClusterAccessSpec) *storagev1.ClusterAccess {
	return &storagev1.ClusterAccess{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}
}

// lines writes bindings as namespace/name role: groups.
func lines(wanted []Binding) []string {
	var all []string
	for _, b := range wanted {
		all = append(all, b.Namespace+"/"+b.Name+" "+b.Role+": "+strings.Join(b.Groups, " "))
	}
	return all
}

func TestWanted(t *testing.T) {
	const endpoint = "/loft-agent-endpoint-user loft-agent-endpoint-user: "
	for _, tt := range []struct {
		name string
		spec storagev1.ClusterAccessSpec
		want []string
	}{
		{"other cluster", storagev1.ClusterAccessSpec{Clusters: []string{"us"}, Users: []string{"alice"}, ClusterRole: "view"}, []string{endpoint}},
		{"use alone", storagev1.ClusterAccessSpec{Clusters: []string{"eu"}, Users: []string{"bob", "alice"}}, []string{endpoint + "loft:user:alice loft:user:bob"}},
		{"role", storagev1.ClusterAccessSpec{Clusters: []string{"eu"}, Users: []string{"alice"}, Teams: []string{"dev"}, ClusterRole: "view"},
			[]string{endpoint + "loft:team:dev loft:user:alice", "/loft-access-x-2bcb43cb view: loft:team:dev loft:user:alice"}},
		{"every cluster, everybody", storagev1.ClusterAccessSpec{Clusters: []string{"*"}, Users: []string{"*"}, ClusterRole: "view"},
			[]string{endpoint + "loft:authenticated", "/loft-access-x-2bcb43cb view: loft:authenticated"}},
		{"namespaces", storagev1.ClusterAccessSpec{Clusters: []string{"eu"}, Users: []string{"alice"}, ClusterRole: "view", Namespaces: []string{"a", "b"}},
			[]string{endpoint + "loft:user:alice", "a/loft-access-x-2bcb43cb view: loft:user:alice", "b/loft-access-x-2bcb43cb view: loft:user:alice"}},
		{"no namespace is not every namespace", storagev1.ClusterAccessSpec{Clusters: []string{"eu"}, Users: []string{"alice"}, ClusterRole: "view", Namespaces: []string{}},
			[]string{endpoint + "loft:user:alice"}},
		{"disabled or gone", storagev1.ClusterAccessSpec{Clusters: []string{"eu"}, Users: []string{"eve"}, Teams: []string{"alice"}, ClusterRole: "view"}, []string{endpoint}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := lines(Wanted("eu", []*storagev1.ClusterAccess{access("x", tt.spec)}, people))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

type fixture struct {
	host   *fakehost.Host
	client dynamic.Interface
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	server := fakehost.Start()
	t.Cleanup(server.Close)
	f := &fixture{host: server.Add("eu", "uid")}
	f.host.Set("/api/v1/namespaces/a", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "a"}})
	config, err := clientcmd.RESTConfigFromKubeConfig(server.Kubeconfig("eu"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	if f.client, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) sync(t *testing.T, accesses ...*storagev1.ClusterAccess) (int, error) {
	t.Helper()
	return Sync(t.Context(), f.client, Wanted("eu", accesses, people))
}

func (f *fixture) names() []string {
	var names []string
	for _, path := range f.host.Paths("/apis/rbac.authorization.k8s.io/v1/") {
		names = append(names, strings.TrimPrefix(path, "/apis/rbac.authorization.k8s.io/v1/"))
	}
	slices.Sort(names)
	return names
}

const (
	endpointPath = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/loft-agent-endpoint-user"
	viewEndpoint = "clusterrolebindings/loft-agent-endpoint-user"
)

func TestSync(t *testing.T) {
	f := newFixture(t)
	spec := storagev1.ClusterAccessSpec{Clusters: []string{"eu"}, Users: []string{"alice"}, ClusterRole: "view"}
	expect := func(step string, wantChanged int, want []string, accesses ...*storagev1.ClusterAccess) {
		t.Helper()
		changed, err := f.sync(t, accesses...)
		if err != nil || changed != wantChanged {
			t.Errorf("%s: changed %d, error %v; want %d", step, changed, err, wantChanged)
		}
		if diff := cmp.Diff(want, f.names()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	expect("given", 2, []string{"clusterrolebindings/loft-access-x-2bcb43cb", viewEndpoint}, access("x", spec))
	expect("again", 0, []string{"clusterrolebindings/loft-access-x-2bcb43cb", viewEndpoint}, access("x", spec))
	spec.ClusterRole = "edit"
	expect("another role", 2, []string{"clusterrolebindings/loft-access-x-262121c5", viewEndpoint}, access("x", spec))
	spec.Namespaces = []string{"a"}
	expect("in a namespace", 2, []string{viewEndpoint, "namespaces/a/rolebindings/loft-access-x-262121c5"}, access("x", spec))
	expect("taken", 2, []string{viewEndpoint})
	if subjects, _, _ := unstructured.NestedSlice(f.host.Object(endpointPath), "subjects"); len(subjects) > 0 {
		t.Errorf("may use the endpoint: %v", subjects)
	}
}

func TestChangedBindingIsRepaired(t *testing.T) {
	f := newFixture(t)
	x := access("x", storagev1.ClusterAccessSpec{Clusters: []string{"eu"}, Users: []string{"alice"}, ClusterRole: "view"})
	if _, err := f.sync(t, x); err != nil {
		t.Fatal(err)
	}
	const path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/loft-access-x-2bcb43cb"
	object := f.host.Object(path)
	object["subjects"] = []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}}
	f.host.Set(path, object)
	if changed, err := f.sync(t, x); err != nil || changed != 1 {
		t.Errorf("changed %d, %v", changed, err)
	}
	if subjects, _, _ := unstructured.NestedSlice(f.host.Object(path), "subjects"); len(subjects) != 1 || subjects[0].(map[string]any)["name"] != "loft:user:alice" {
		t.Errorf("subjects %v", subjects)
	}
}

// TestBindingThatLetsEverybodyInIsNarrowed is a cluster where the manifests were applied by hand.
func TestBindingThatLetsEverybodyInIsNarrowed(t *testing.T) {
	byHand := func(annotations map[string]any) map[string]any {
		return map[string]any{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
			"metadata": map[string]any{"name": "loft-agent-endpoint-user", "annotations": annotations},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "loft-agent-endpoint-user"},
			"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "loft:authenticated"}},
		}
	}
	for _, tt := range []struct {
		name        string
		annotations map[string]any
		want        int
	}{
		{"narrowed", nil, 0},
		{"unmanaged", map[string]any{storagev1.AnnotationUnmanaged: "true"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.host.Set(endpointPath, byHand(tt.annotations))
			if _, err := f.sync(t); err != nil {
				t.Fatal(err)
			}
			if subjects, _, _ := unstructured.NestedSlice(f.host.Object(endpointPath), "subjects"); len(subjects) != tt.want {
				t.Errorf("subjects %v, want %d", subjects, tt.want)
			}
		})
	}
}

func TestOneRefusalHoldsNothingElseUp(t *testing.T) {
	f := newFixture(t)
	f.host.Answer(http.MethodPatch, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/loft-access-admins-6e5263a7", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":403,"reason":"Forbidden","message":"attempting to grant RBAC permissions not currently held"}`))
	})
	spec := storagev1.ClusterAccessSpec{Clusters: []string{"eu"}, Users: []string{"alice"}, ClusterRole: "cluster-admin"}
	other := spec
	other.ClusterRole, other.Namespaces = "view", []string{"a", "nowhere"}
	changed, err := f.sync(t, access("admins", spec), access("x", other))
	var refused *Error
	if !errors.As(err, &refused) || refused.Reason != ReasonBindingRefused || changed != 2 {
		t.Fatalf("changed %d, error %v", changed, err)
	}
	for _, want := range []string{"not currently held", "nowhere/loft-access-x"} {
		if !strings.Contains(refused.Message, want) {
			t.Errorf("message %q without %q", refused.Message, want)
		}
	}
}
