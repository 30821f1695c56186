package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"loft.sh/agent/test/controlplane"
)

// testRights asks the API server what the agent's service account may do with the manifests alone.
func testRights(t *testing.T, host *controlplane.ControlPlane) {
	token, err := host.ServiceAccountToken(t.Context(), "loft", "loft-agent", 0)
	if err != nil {
		t.Fatal(err)
	}
	agent := host.TokenConfig(token)
	// Whoever is authenticated has these rights too: they are none of the agent's.
	anyone, err := host.UserConfig("anyone", "system:serviceaccounts", "system:serviceaccounts:loft")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("the agent's rules", func(t *testing.T) { testRules(t, agent, anyone) })
	t.Run("the agent's single rights", func(t *testing.T) { testAccess(t, agent) })
	t.Run("the agent impersonates", func(t *testing.T) { testImpersonation(t, agent) })
	t.Run("the agent reads its trust bundle", func(t *testing.T) { testTrustBundle(t, agent) })
	t.Run("who may use the endpoint", func(t *testing.T) { testEndpointUsers(t, host) })
}

func clientsetFor(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return clientset
}

func testRules(t *testing.T, agent, anyone *rest.Config) {
	everywhere := []string{
		"[impersonate-on:user-info:get impersonate-on:user-info:head impersonate-on:user-info:post " +
			"impersonate-on:user-info:put impersonate-on:user-info:patch impersonate-on:user-info:delete " +
			"impersonate-on:user-info:options] [*]",
		"create authentication.k8s.io/tokenreviews",
		"create authorization.k8s.io/subjectaccessreviews",
		"impersonate /groups",
		"impersonate /serviceaccounts",
		"impersonate /users",
		"impersonate authentication.k8s.io/*",
		"impersonate-on:user-info:create */*",
		"impersonate-on:user-info:delete */*",
		"impersonate-on:user-info:deletecollection */*",
		"impersonate-on:user-info:get */*",
		"impersonate-on:user-info:list */*",
		"impersonate-on:user-info:patch */*",
		"impersonate-on:user-info:update */*",
		"impersonate-on:user-info:watch */*",
		"impersonate:user-info authentication.k8s.io/*",
	}
	everywhere = append(everywhere, sleepModeRules...)
	inLoft := []string{
		"create coordination.k8s.io/leases",
		"get coordination.k8s.io/leases loft-agent",
		"update coordination.k8s.io/leases loft-agent",
		"create /serviceaccounts/token loft-agent",
		"get /configmaps loft-agent-trust",
		"list /configmaps loft-agent-trust",
		"watch /configmaps loft-agent-trust",
	}
	inKubeSystem := []string{
		"get /configmaps extension-apiserver-authentication",
		"list /configmaps extension-apiserver-authentication",
		"watch /configmaps extension-apiserver-authentication",
	}
	for namespace, extra := range map[string][]string{"loft": inLoft, "kube-system": inKubeSystem, "default": nil} {
		common := rules(t, anyone, namespace)
		got := slices.DeleteFunc(rules(t, agent, namespace), func(rule string) bool { return slices.Contains(common, rule) })
		want := slices.Sorted(slices.Values(slices.Concat(everywhere, extra)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rules in namespace %q (-want +got):\n%s", namespace, diff)
		}
	}
}

// sleepModeRules are what it takes to make spaces, to put them to sleep and to wake them.
var sleepModeRules = slices.Concat(
	verbs("/namespaces", "get", "list", "watch", "create", "patch", "delete"),
	verbs("rbac.authorization.k8s.io/clusterroles", "list", "watch"),
	verbs("rbac.authorization.k8s.io/clusterrolebindings", "list", "watch"),
	verbs("rbac.authorization.k8s.io/roles", "list", "watch"),
	verbs("rbac.authorization.k8s.io/rolebindings", "create", "list", "watch"),
	verbs("apps/deployments", "get", "list", "patch"),
	verbs("apps/statefulsets", "get", "list", "patch"),
	verbs("apps/replicasets", "get", "list", "patch"),
	verbs("/replicationcontrollers", "get", "list", "patch"),
	verbs("batch/cronjobs", "get", "list", "patch"),
	verbs("autoscaling/horizontalpodautoscalers", "get", "list", "patch"),
	verbs("keda.sh/scaledobjects", "get", "list", "patch"),
	verbs("/pods", "get", "list", "delete"),
	verbs("/events", "create", "patch"),
	[]string{
		"patch apps/deployments/scale", "patch apps/statefulsets/scale", "patch apps/replicasets/scale", "patch /replicationcontrollers/scale",
		"list apps/daemonsets", "list batch/jobs", "list discovery.k8s.io/endpointslices",
		"create /resourcequotas", "delete /resourcequotas loft-sleep-mode",
		"bind rbac.authorization.k8s.io/clusterroles admin", "patch rbac.authorization.k8s.io/rolebindings loft-space-owner",
	},
)

// verbs returns a line for each verb of a resource.
func verbs(resource string, verbs ...string) []string {
	lines := make([]string, 0, len(verbs))
	for _, verb := range verbs {
		lines = append(lines, verb+" "+resource)
	}
	return lines
}

// rules returns what an account may do in a namespace, a line for each verb, resource and name.
func rules(t *testing.T, config *rest.Config, namespace string) []string {
	t.Helper()
	review, err := clientsetFor(t, config).AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(),
		&authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}},
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if review.Status.Incomplete {
		t.Fatalf("incomplete: %s", review.Status.EvaluationError)
	}
	var lines []string
	for _, rule := range review.Status.ResourceRules {
		lines = append(lines, ruleLines(rule)...)
	}
	for _, rule := range review.Status.NonResourceRules {
		lines = append(lines, fmt.Sprintf("%s %s", rule.Verbs, rule.NonResourceURLs))
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

func ruleLines(rule authorizationv1.ResourceRule) []string {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	var lines []string
	for _, verb := range rule.Verbs {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s/%s %s", verb, group, resource, name)))
				}
			}
		}
	}
	return lines
}

// accessTests says what the agent may do by itself. Subresources stand behind a slash.
var accessTests = []struct {
	verb, group, resource, namespace, name string
	want                                   bool
}{
	{"impersonate", "", "users", "", "loft:user:alice", true},
	{"impersonate", "", "groups", "", "loft:team:dev", true},
	{"impersonate", "", "serviceaccounts", "default", "builder", true},
	{"impersonate", "authentication.k8s.io", "uids", "", "6f1a", true},
	{"impersonate", "authentication.k8s.io", "userextras/example.com/any", "", "value", true},
	{"create", "authentication.k8s.io", "tokenreviews", "", "", true},
	{"create", "authorization.k8s.io", "subjectaccessreviews", "", "", true},
	{"get", "", "namespaces", "", "kube-system", true},
	{"get", "", "configmaps", "loft", "loft-agent-trust", true},
	{"watch", "", "configmaps", "loft", "loft-agent-trust", true},
	{"get", "", "configmaps", "kube-system", "extension-apiserver-authentication", true},
	{"create", "coordination.k8s.io", "leases", "loft", "", true},
	{"update", "coordination.k8s.io", "leases", "loft", "loft-agent", true},
	{"create", "events.k8s.io", "events", "loft", "", false},

	{"impersonate:user-info", "authentication.k8s.io", "users", "", "loft:user:alice", true},
	{"impersonate-on:user-info:list", "", "secrets", "", "", true},
	{"impersonate:serviceaccount", "authentication.k8s.io", "serviceaccounts", "default", "builder", false},
	{"impersonate:arbitrary-node", "authentication.k8s.io", "nodes", "", "worker", false},
	{"list", "", "secrets", "", "", false},
	{"get", "", "secrets", "loft", "loft-agent-serving", false},
	{"create", "", "pods", "loft", "", false},
	{"create", "", "pods/exec", "loft", "", false},
	{"create", "", "serviceaccounts/token", "loft", "loft-agent", true},
	{"create", "", "serviceaccounts/token", "loft", "default", false},
	{"create", "", "serviceaccounts/token", "kube-system", "loft-agent", false},
	{"get", "", "configmaps", "loft", "other", false},
	{"list", "", "configmaps", "loft", "", false},
	{"update", "", "configmaps", "loft", "loft-agent-trust", false},
	{"get", "", "configmaps", "default", "loft-agent-trust", false},
	{"get", "", "namespaces", "", "default", true},
	{"list", "", "namespaces", "", "", true},
	{"delete", "", "namespaces", "", "team-a", true},
	{"create", "", "namespaces", "", "", true},
	{"bind", "rbac.authorization.k8s.io", "clusterroles", "", "cluster-admin", false},
	{"patch", "rbac.authorization.k8s.io", "rolebindings", "team-a", "own", false},
	{"update", "", "namespaces", "", "team-a", false},
	{"get", "coordination.k8s.io", "leases", "loft", "other", false},
	{"delete", "coordination.k8s.io", "leases", "loft", "loft-agent", false},
	{"create", "", "events", "default", "", true},
	{"create", "authorization.k8s.io", "localsubjectaccessreviews", "default", "", false},
	{"get", "apiregistration.k8s.io", "apiservices", "", "v1.cluster.loft.sh", false},
	{"update", "apps", "deployments", "loft", "loft-agent", false},
	{"create", "apps", "deployments", "team-a", "", false},
	{"delete", "", "resourcequotas", "team-a", "own", false},
	{"create", "rbac.authorization.k8s.io", "clusterrolebindings", "", "", false},
	{"escalate", "rbac.authorization.k8s.io", "clusterroles", "", "loft-agent", false},
	{"get", "cluster.loft.sh", "kubernetes/proxy", "", "cluster", false},
	{"*", "*", "*", "", "", false},
}

func testAccess(t *testing.T, agent *rest.Config) {
	reviews := clientsetFor(t, agent).AuthorizationV1().SelfSubjectAccessReviews()
	for _, test := range accessTests {
		attributes := resourceAttributes(test.verb, test.group, test.resource, test.namespace, test.name)
		review, err := reviews.Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != test.want {
			t.Errorf("%s %s/%s %s/%s: allowed = %v, want %v (%s)", test.verb, test.group, test.resource,
				test.namespace, test.name, review.Status.Allowed, test.want, review.Status.Reason)
		}
	}
}

func resourceAttributes(verb, group, resource, namespace, name string) *authorizationv1.ResourceAttributes {
	resource, subresource, _ := strings.Cut(resource, "/")
	return &authorizationv1.ResourceAttributes{
		Verb: verb, Group: group, Resource: resource, Subresource: subresource, Namespace: namespace, Name: name,
	}
}

// testImpersonation forwards identities of each kind: the API server checks service accounts, nodes
// and other users in different ways.
func testImpersonation(t *testing.T, agent *rest.Config) {
	extra := map[string][]string{"example.com/any key": {"a", "b"}, "authentication.kubernetes.io/credential-id": {"JTI=1"}}
	for _, test := range []struct {
		name, user string
		groups     []string
	}{
		{"person", "loft:user:alice", []string{"loft:user:alice", "loft:team:dev", "loft:authenticated", "system:authenticated"}},
		{"service account", "system:serviceaccount:default:builder", []string{"system:serviceaccounts", "system:authenticated"}},
		{"node", "system:node:worker", []string{"system:nodes", "system:authenticated"}},
		{"administrator", "kubernetes-admin", []string{"system:masters", "system:authenticated"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := rest.CopyConfig(agent)
			config.Impersonate = rest.ImpersonationConfig{UserName: test.user, UID: "6f1a", Groups: test.groups, Extra: extra}
			review, err := clientsetFor(t, config).AuthenticationV1().SelfSubjectReviews().
				Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want := authenticationv1.UserInfo{Username: test.user, UID: "6f1a", Groups: test.groups, Extra: map[string]authenticationv1.ExtraValue{}}
			for key, values := range extra {
				want.Extra[key] = values
			}
			if diff := cmp.Diff(want, review.Status.UserInfo); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

func testTrustBundle(t *testing.T, agent *rest.Config) {
	configMaps := clientsetFor(t, agent).CoreV1().ConfigMaps("loft")
	one := metav1.ListOptions{FieldSelector: "metadata.name=loft-agent-trust"}
	if _, err := configMaps.List(t.Context(), one); err != nil {
		t.Errorf("list the one: %v", err)
	}
	if _, err := configMaps.List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list all: %v, want forbidden", err)
	}
	watcher, err := configMaps.Watch(t.Context(), one)
	if err != nil {
		t.Fatalf("watch the one: %v", err)
	}
	watcher.Stop()
}

func testEndpointUsers(t *testing.T, host *controlplane.ControlPlane) {
	reviews := clientsetFor(t, host.RESTConfig()).AuthorizationV1().SubjectAccessReviews()
	for _, test := range []struct {
		group, verb, resource, name string
		want                        bool
	}{
		{"loft:authenticated", "get", "kubernetes", "cluster", true},
		{"loft:authenticated", "get", "kubernetes/proxy", "cluster", true},
		{"loft:authenticated", "create", "kubernetes/proxy", "cluster", true},
		{"loft:authenticated", "update", "kubernetes/proxy", "cluster", true},
		{"loft:authenticated", "patch", "kubernetes/proxy", "cluster", true},
		{"loft:authenticated", "delete", "kubernetes/proxy", "cluster", true},
		{"loft:authenticated", "get", "kubernetes/proxy", "other", false},
		{"loft:authenticated", "delete", "kubernetes", "cluster", false},
		{"loft:authenticated", "list", "spaces", "", true},
		{"loft:authenticated", "delete", "spaces", "team-a", true}, // worth nothing: the agent asks about spaces/manage
		{"loft:authenticated", "delete", "spaces/manage", "team-a", false},
		{"loft:authenticated", "create", "spaces", "", false},
		{"loft:authenticated", "list", "sleepmodeconfigs", "", false},
		{"system:authenticated", "get", "kubernetes/proxy", "cluster", false},
	} {
		review, err := reviews.Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{
				User: "somebody", Groups: []string{test.group},
				ResourceAttributes: resourceAttributes(test.verb, "cluster.loft.sh", test.resource, "", test.name),
			},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != test.want {
			t.Errorf("%s: %s %s %q: allowed = %v, want %v", test.group, test.verb, test.resource, test.name, review.Status.Allowed, test.want)
		}
	}
}
