package integration

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"loft.sh/agent/artifacts"
	"loft.sh/agent/test/controlplane"
)

// TestManagerManifests applies what the manager needs in the central cluster and in a connected one,
// here one and the same, and asks the API server what its accounts may do then.
func TestManagerManifests(t *testing.T) {
	host, err := controlplane.Start(t.Context(), controlplane.Options{Name: "manager-manifests", ControllerManager: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Stop(); err != nil {
			t.Error(err)
		}
	})
	a := newApplier(t, host.RESTConfig())
	for name, objectsOf := range map[string]func() ([]*unstructured.Unstructured, error){
		"manager": artifacts.ManagerObjects, "connect": artifacts.ConnectObjects,
	} {
		objects, err := objectsOf()
		if err != nil {
			t.Fatal(err)
		}
		if !t.Run(name+" applies", func(t *testing.T) { a.applyAll(t, objects) }) {
			return
		}
		t.Run(name+" applied again changes nothing", func(t *testing.T) { testApplyAgain(t, a, objects) })
		t.Run("the API server takes the pods of "+name, func(t *testing.T) { testPodIsAdmitted(t, a, objects) })
	}
	t.Run("rules in the centre", func(t *testing.T) { testAccountRules(t, host, "loft-manager", managerRules) })
	t.Run("rules in a connected cluster", func(t *testing.T) { testAccountRules(t, host, "loft-connect", connectRules) })
	t.Run("the account installs the agent", func(t *testing.T) { testInstall(t, accountConfig(t, host, "loft-connect")) })
	t.Run("the account gives any role to anyone", func(t *testing.T) { testBindAny(t, accountConfig(t, host, "loft-connect")) })
	t.Run("the account does nothing else", func(t *testing.T) { testOnlyThat(t, accountConfig(t, host, "loft-connect")) })
}

// accountConfig is the configuration of a service account of namespace loft.
func accountConfig(t *testing.T, host *controlplane.ControlPlane, name string) *rest.Config {
	t.Helper()
	token, err := host.ServiceAccountToken(t.Context(), "loft", name, 0)
	if err != nil {
		t.Fatal(err)
	}
	return host.TokenConfig(token)
}

// accountRules are the rules of an account, by namespace; "" holds those that apply everywhere.
type accountRules map[string][]string

// each returns a rule for each verb and each resource.
func each(verbs []string, resources ...string) []string {
	var rules []string
	for _, verb := range verbs {
		for _, resource := range resources {
			rules = append(rules, verb+" "+resource)
		}
	}
	return rules
}

var managerRules = accountRules{
	"": slices.Concat(
		each([]string{"get", "list", "watch", "create", "update", "patch", "delete"},
			"storage.loft.sh/clusters", "storage.loft.sh/users", "storage.loft.sh/teams",
			"storage.loft.sh/accesskeys", "storage.loft.sh/clusteraccesses"),
		each([]string{"update", "patch"},
			"storage.loft.sh/clusters/status", "storage.loft.sh/users/status", "storage.loft.sh/teams/status",
			"storage.loft.sh/accesskeys/status", "storage.loft.sh/clusteraccesses/status"),
		each([]string{"create"}, "authentication.k8s.io/tokenreviews", "authorization.k8s.io/subjectaccessreviews"),
		each([]string{"create", "patch"}, "/events", "events.k8s.io/events"),
	),
	"loft": slices.Concat(
		each([]string{"get", "list", "watch", "create"}, "/secrets"),
		each([]string{"update", "patch"}, "/secrets loft-manager-signing-keys"),
		// A Secret a cluster, with its kubeconfig.
		each([]string{"patch"}, "/secrets"),
		each([]string{"get", "list", "watch", "create", "update", "delete"}, "/configmaps"),
		each([]string{"create"}, "coordination.k8s.io/leases"),
		each([]string{"get", "update"}, "coordination.k8s.io/leases loft-manager"),
	),
	"kube-system": each([]string{"get", "list", "watch"}, "/configmaps extension-apiserver-authentication"),
}

var connectRules = accountRules{
	"": slices.Concat(
		each([]string{"get"}, "/namespaces kube-system", "/namespaces loft", "cluster.loft.sh/kubernetes cluster"),
		each([]string{"create"}, "/namespaces", "apiregistration.k8s.io/apiservices", "rbac.authorization.k8s.io/clusterroles",
			"authentication.k8s.io/tokenreviews"),
		each([]string{"patch"}, "/namespaces loft"),
		each([]string{"get", "patch", "delete"}, "apiregistration.k8s.io/apiservices v1.cluster.loft.sh"),
		each([]string{"get", "patch", "delete", "escalate"},
			"rbac.authorization.k8s.io/clusterroles loft-agent", "rbac.authorization.k8s.io/clusterroles loft-agent-endpoint-user",
			"rbac.authorization.k8s.io/clusterroles loft-agent-space-admin", "rbac.authorization.k8s.io/clusterroles loft-agent-space-creator",
			"rbac.authorization.k8s.io/clusterroles loft-agent-space-edit", "rbac.authorization.k8s.io/clusterroles loft-agent-space-view"),
		each([]string{"bind"}, "rbac.authorization.k8s.io/clusterroles"),
		each([]string{"get", "list", "create", "patch", "delete"},
			"rbac.authorization.k8s.io/clusterrolebindings", "rbac.authorization.k8s.io/rolebindings"),
		each([]string{"impersonate"}, "/users", "/groups", "authentication.k8s.io/*"),
	),
	"loft": slices.Concat(
		each([]string{"create"}, "/serviceaccounts", "/services", "/configmaps", "/secrets", "apps/deployments",
			"policy/poddisruptionbudgets", "networking.k8s.io/networkpolicies", "rbac.authorization.k8s.io/roles"),
		each([]string{"get", "patch", "delete"}, "/serviceaccounts loft-agent", "/services loft-agent",
			"/services loft-agent-apiservice", "/configmaps loft-agent-trust", "/secrets loft-agent-serving",
			"apps/deployments loft-agent", "policy/poddisruptionbudgets loft-agent",
			"networking.k8s.io/networkpolicies loft-agent", "rbac.authorization.k8s.io/roles loft-agent"),
		each([]string{"escalate", "bind"}, "rbac.authorization.k8s.io/roles loft-agent"),
	),
	"kube-system": each([]string{"bind"}, "rbac.authorization.k8s.io/roles extension-apiserver-authentication-reader"),
}

func testAccountRules(t *testing.T, host *controlplane.ControlPlane, account string, want accountRules) {
	// Whoever is authenticated has these rights too.
	anyone, err := host.UserConfig("anyone", "system:serviceaccounts", "system:serviceaccounts:loft")
	if err != nil {
		t.Fatal(err)
	}
	config := accountConfig(t, host, account)
	for _, namespace := range []string{"loft", "kube-system", "default"} {
		common := rules(t, anyone, namespace)
		got := slices.DeleteFunc(rules(t, config, namespace), func(rule string) bool { return slices.Contains(common, rule) })
		wanted := slices.Sorted(slices.Values(slices.Concat(want[""], want[namespace])))
		if diff := cmp.Diff(slices.Compact(wanted), got); diff != "" {
			t.Errorf("rules of %s in namespace %q (-want +got):\n%s", account, namespace, diff)
		}
	}
}

// testInstall applies the agent as the manager does, with nothing but the account, and takes it away
// again.
func testInstall(t *testing.T, config *rest.Config) {
	a := newApplier(t, config)
	objects, err := artifacts.AgentObjects()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"ConfigMap", "Secret"} {
		object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": kind}}
		object.SetNamespace("loft")
		object.SetName(map[string]string{"ConfigMap": "loft-agent-trust", "Secret": "loft-agent-serving"}[kind])
		objects = append(objects, object)
	}
	a.applyAll(t, objects)
	testApplyAgain(t, a, objects)
	for _, object := range slices.Backward(objects) {
		if object.GetKind() == "Namespace" {
			continue // the account itself lives there
		}
		if err := a.resource(t, object).Delete(t.Context(), object.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Errorf("delete %s %q: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

func testBindAny(t *testing.T, config *rest.Config) {
	bindings := clientsetFor(t, config).RbacV1().ClusterRoleBindings()
	ctx := context.WithoutCancel(t.Context())
	for _, role := range []string{"cluster-admin", "view"} {
		binding, err := bindings.Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "loft-"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "loft:user:alice"}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := bindings.Delete(ctx, binding.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// testOnlyThat tries what whoever steals the account would like to do without impersonating anybody.
func testOnlyThat(t *testing.T, config *rest.Config) {
	client := clientsetFor(t, config)
	_, err := client.CoreV1().Secrets("loft").List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("list Secrets: %v, want forbidden", err)
	}
	_, err = client.CoreV1().Pods("loft").Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("create a pod: %v, want forbidden", err)
	}
	_, err = client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "all"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}},
	}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("create a role with every right: %v, want forbidden", err)
	}
}
