package rights

import (
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

func rule(group, resource, verb string, names ...string) []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}, ResourceNames: names}}
}

func clusterRole(name string, rules []rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func binding(namespace, kind, role string, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role + fmt.Sprint(len(subjects)), Namespace: namespace},
		RoleRef:    rbacv1.RoleRef{Kind: kind, Name: role}, Subjects: subjects,
	}
}

func group(name string) rbacv1.Subject { return rbacv1.Subject{Kind: "Group", Name: name} }

func start(t testing.TB, objects ...runtime.Object) *Rights {
	factory := informers.NewSharedInformerFactory(fake.NewClientset(objects...), 0)
	r, err := New(factory.Rbac().V1())
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())
	for _, synced := range r.synced {
		for !synced() {
			// the handlers are called by another goroutine
		}
	}
	return r
}

func TestVisible(t *testing.T) {
	r := start(t,
		clusterRole("view", rule("", "namespaces", "get")),
		clusterRole("everything", rule("*", "*", "*")),
		clusterRole("pods", rule("", "pods", "get")),
		clusterRole("lists", rule("", "namespaces", "list")),
		clusterRole("one", rule("", "namespaces", "get", "named", "other")),
		clusterRole("spaces", rule("cluster.loft.sh", "spaces", "get")),
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "spaces"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "spaces"}, Subjects: []rbacv1.Subject{group("everybody")}},
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "view", Namespace: "fake"}, Rules: rule("", "pods", "get")},
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "own", Namespace: "local"}, Rules: rule("", "namespaces", "get", "local")},
		binding("team-a", "ClusterRole", "view", group("loft:team:a"), rbacv1.Subject{Kind: "User", Name: "bob"}),
		binding("team-b", "ClusterRole", "everything", group("loft:team:b")),
		binding("team-c", "ClusterRole", "pods", group("loft:team:a")),
		binding("team-d", "ClusterRole", "lists", group("loft:team:a")),
		binding("fake", "Role", "view", group("loft:team:a")),
		binding("local", "Role", "own", group("loft:team:a")),
		binding("foreign", "ClusterRole", "one", group("loft:team:a")),
		binding("sa", "ClusterRole", "view", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "ci", Name: "builder"}),
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "one"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "one"}, Subjects: []rbacv1.Subject{group("named")}},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "all"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "everything"}, Subjects: []rbacv1.Subject{group("admins")}},
	)
	all := []string{"team-a", "team-b", "team-c", "team-d", "fake", "local", "foreign", "sa", "named", "other"}
	tests := []struct {
		name   string
		person user.DefaultInfo
		want   []string
	}{
		{"a team", user.DefaultInfo{Name: "x", Groups: []string{"loft:team:a"}}, []string{"team-a", "local"}},
		{"two teams", user.DefaultInfo{Name: "x", Groups: []string{"loft:team:a", "loft:team:b"}}, []string{"team-a", "team-b", "local"}},
		{"a user", user.DefaultInfo{Name: "bob"}, []string{"team-a"}},
		{"a group named as a user", user.DefaultInfo{Name: "x", Groups: []string{"bob"}}, nil},
		{"a service account", user.DefaultInfo{Name: "system:serviceaccount:ci:builder"}, []string{"sa"}},
		{"by name", user.DefaultInfo{Name: "x", Groups: []string{"named"}}, []string{"named", "other"}},
		{"administrators", user.DefaultInfo{Name: "x", Groups: []string{"admins"}}, all},
		{"the API server's own", user.DefaultInfo{Name: "x", Groups: []string{"system:masters"}}, all},
		{"everybody's right to spaces", user.DefaultInfo{Name: "x", Groups: []string{"everybody"}}, nil},
		{"nobody", user.DefaultInfo{Name: "x"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			visible, err := r.Visible(&tt.person)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range all {
				want := false
				for _, w := range tt.want {
					want = want || w == name
				}
				if got := visible.Has(name); got != want {
					t.Errorf("%s: %t, want %t", name, got, want)
				}
			}
		})
	}
}

func TestNotYetRead(t *testing.T) {
	r, err := New(informers.NewSharedInformerFactory(fake.NewClientset(), 0).Rbac().V1())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Visible(&user.DefaultInfo{Groups: []string{"system:masters"}}); err == nil {
		t.Error("an answer before RBAC was read")
	}
}
