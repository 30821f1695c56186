package artifacts

import (
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// folders holds every folder of manifests, embedded or not.
var folders = []string{"agent", "agent-cert-manager", "connect", "expose", "manager", "monitoring"}

// embeddedFolders are those that programs install, and how each is read.
var embeddedFolders = map[string]func() ([]*unstructured.Unstructured, error){
	"agent": AgentObjects, "connect": ConnectObjects, "manager": ManagerObjects,
}

func agentObjects(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	objects, err := AgentObjects()
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// decode converts the objects of a kind.
func decode[T any](t *testing.T, objects []*unstructured.Unstructured, kind string) []T {
	t.Helper()
	var found []T
	for _, object := range objects {
		if object.GetKind() != kind {
			continue
		}
		var typed T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &typed, true); err != nil {
			t.Errorf("%s %q: %v", kind, object.GetName(), err)
		}
		found = append(found, typed)
	}
	if len(found) == 0 {
		t.Fatalf("no %s", kind)
	}
	return found
}

// exampleObjects returns the objects of a folder that is not embedded.
func exampleObjects(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	files := os.DirFS(folder)
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var objects []*unstructured.Unstructured
	for _, name := range names {
		inFile, err := ReadObjects(files, name)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, inFile...)
	}
	return objects
}

func TestEveryFileParses(t *testing.T) {
	for _, folder := range folders {
		files, err := fs.Glob(os.DirFS(folder), "*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			t.Errorf("folder %q is empty", folder)
		}
		for _, file := range files {
			t.Run(path.Join(folder, file), func(t *testing.T) { testFile(t, folder, file) })
		}
	}
}

func testFile(t *testing.T, folder, file string) {
	content, err := os.ReadFile(path.Join(folder, file))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(content), "# ") {
		t.Error("does not begin with a comment that says why")
	}
	objects, err := ReadObjects(os.DirFS(folder), file)
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) == 0 {
		t.Error("no objects")
	}
	for _, object := range objects {
		if object.GetKind() == "" || object.GetAPIVersion() == "" {
			t.Errorf("object without kind or apiVersion: %v", object.Object)
		}
		if file != kustomizationFile && object.GetName() == "" {
			t.Errorf("%s without a name", object.GetKind())
		}
	}
}

func TestKustomizationListsEveryFile(t *testing.T) {
	for name := range embeddedFolders {
		t.Run(name, func(t *testing.T) {
			embedded, err := folder(name)
			if err != nil {
				t.Fatal(err)
			}
			files, err := fs.Glob(os.DirFS(name), "*.yaml")
			if err != nil {
				t.Fatal(err)
			}
			inFolders, err := fs.Glob(os.DirFS(name), "*/*.yaml")
			if err != nil {
				t.Fatal(err)
			}
			order, err := applyOrder(embedded)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, inFolders...)
			slices.Sort(files)
			listed := append([]string{kustomizationFile}, order...)
			slices.Sort(listed)
			if diff := cmp.Diff(files, listed); diff != "" {
				t.Errorf("files and kustomization.yaml differ (-files +listed):\n%s", diff)
			}
		})
	}
}

// TestOrder finds objects that would be applied before what they need.
func TestOrder(t *testing.T) {
	for name, objectsOf := range embeddedFolders {
		objects, err := objectsOf()
		if err != nil {
			t.Fatal(err)
		}
		namespaced := false
		for i, object := range objects {
			id := object.GetKind() + " " + object.GetName()
			switch kind := object.GetKind(); {
			case kind == "Namespace" && namespaced:
				t.Errorf("%s: %s comes after what is in it", name, id)
			case kind == "APIService" && i != len(objects)-1:
				t.Errorf("%s: %s is not the last", name, id)
			}
			namespaced = namespaced || object.GetNamespace() != ""
		}
	}
}

// TestNamespaceIsTheSame holds what each folder says of the namespace against the others: a cluster
// may be central and connected, and one must not undo what the other did.
func TestNamespaceIsTheSame(t *testing.T) {
	want := decode[map[string]any](t, agentObjects(t), "Namespace")
	for name, objectsOf := range embeddedFolders {
		objects, err := objectsOf()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, decode[map[string]any](t, objects, "Namespace")); diff != "" {
			t.Errorf("namespace of %s (-agent +%s):\n%s", name, name, diff)
		}
	}
}

// TestEmbeddedNamesDoNotMeet finds objects that two folders name, but for the namespace.
func TestEmbeddedNamesDoNotMeet(t *testing.T) {
	seen := map[string]string{}
	for name, objectsOf := range embeddedFolders {
		objects, err := objectsOf()
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			id := path.Join(object.GetKind(), object.GetNamespace(), object.GetName())
			if other, found := seen[id]; found && object.GetKind() != "Namespace" {
				t.Errorf("%s is in %s and in %s", id, other, name)
			}
			seen[id] = name
		}
	}
}

func TestReadObjectsRefusesADoubleKey(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(path.Join(dir, "double.yaml"), []byte("kind: A\nkind: B\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if objects, err := ReadObjects(os.DirFS(dir), "double.yaml"); err == nil {
		t.Errorf("read %v, want an error", objects)
	}
}

func TestEverythingIsInTheNamespaceLoft(t *testing.T) {
	var objects []*unstructured.Unstructured
	for _, objectsOf := range embeddedFolders {
		embedded, err := objectsOf()
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, embedded...)
	}
	objects = append(objects, exampleObjects(t, "expose")...)
	objects = append(objects, exampleObjects(t, "agent-cert-manager")...)
	objects = append(objects, exampleObjects(t, "monitoring")...)
	for _, object := range objects {
		id := object.GetKind() + " " + object.GetName()
		switch object.GetKind() {
		case "Namespace", "ClusterRole", "ClusterRoleBinding", "APIService", "CustomResourceDefinition":
			if object.GetNamespace() != "" {
				t.Errorf("%s has a namespace", id)
			}
		default:
			wanted := []string{"loft"}
			switch id {
			case "RoleBinding loft-agent-authentication-reader", "RoleBinding loft-manager-authentication-reader":
				wanted = []string{"kube-system"}
			case "Role loft-connect", "RoleBinding loft-connect":
				wanted = []string{"loft", "kube-system"}
			}
			if !slices.Contains(wanted, object.GetNamespace()) {
				t.Errorf("%s is in namespace %q, want %q", id, object.GetNamespace(), wanted)
			}
		}
	}
}

func TestRolesGrantNoWildcards(t *testing.T) {
	objects := agentObjects(t)
	roles := map[string][]rbacv1.PolicyRule{}
	for _, role := range decode[rbacv1.ClusterRole](t, objects, "ClusterRole") {
		if role.AggregationRule != nil {
			t.Errorf("ClusterRole %q takes rules from elsewhere", role.Name)
		}
		roles["ClusterRole "+role.Name] = role.Rules
	}
	for _, role := range decode[rbacv1.Role](t, objects, "Role") {
		roles["Role "+role.Name] = role.Rules
	}
	for name, rules := range roles {
		for _, rule := range rules {
			testRule(t, name, rule)
		}
	}
}

func bindings(t *testing.T, objects []*unstructured.Unstructured) []string {
	t.Helper()
	var found []string
	for _, b := range decode[rbacv1.ClusterRoleBinding](t, objects, "ClusterRoleBinding") {
		found = append(found, describeBinding("", b.RoleRef, b.Subjects))
	}
	for _, b := range decode[rbacv1.RoleBinding](t, objects, "RoleBinding") {
		found = append(found, describeBinding(b.Namespace, b.RoleRef, b.Subjects))
	}
	slices.Sort(found)
	return found
}

func testRule(t *testing.T, role string, rule rbacv1.PolicyRule) {
	// What a person does while impersonated may be anything; the verb alone permits nothing.
	onlyOnBehalf := !slices.ContainsFunc(rule.Verbs, func(verb string) bool {
		return !strings.HasPrefix(verb, "impersonate-on:user-info:") || strings.HasSuffix(verb, "*")
	})
	if onlyOnBehalf {
		return
	}
	if slices.Contains(rule.Verbs, "*") || slices.Contains(rule.APIGroups, "*") || len(rule.NonResourceURLs) > 0 {
		t.Errorf("%s: rule too wide: %v", role, rule)
	}
	// The owner of a space is its administrator; no other role may be given away.
	owners := slices.Equal(rule.Verbs, []string{"bind"}) && slices.Equal(rule.Resources, []string{"clusterroles"}) && slices.Equal(rule.ResourceNames, []string{"admin"})
	for _, verb := range []string{"escalate", "bind"} {
		if slices.Contains(rule.Verbs, verb) && !owners {
			t.Errorf("%s: rule lets the agent widen its own rights: %v", role, rule)
		}
	}
	// RBAC cannot name userextras/<any key> otherwise.
	extras := slices.Equal(rule.APIGroups, []string{"authentication.k8s.io"}) && slices.Equal(rule.Verbs, []string{"impersonate", "impersonate:user-info"})
	if slices.Contains(rule.Resources, "*") && !extras {
		t.Errorf("%s: rule for every resource: %v", role, rule)
	}
}

func TestBindings(t *testing.T) {
	for name, want := range map[string][]string{
		"agent": {
			"/ClusterRole/loft-agent to ServiceAccount/loft/loft-agent",
			"/ClusterRole/loft-agent-endpoint-user to Group//loft:authenticated",
			"kube-system/Role/extension-apiserver-authentication-reader to ServiceAccount/loft/loft-agent",
			"loft/Role/loft-agent to ServiceAccount/loft/loft-agent",
		},
		"connect": {
			"/ClusterRole/loft-connect to ServiceAccount/loft/loft-connect",
			"kube-system/Role/loft-connect to ServiceAccount/loft/loft-connect",
			"loft/Role/loft-connect to ServiceAccount/loft/loft-connect",
		},
		"manager": {
			"/ClusterRole/loft-admin to Group//loft:team:admins",
			"/ClusterRole/loft-manager to ServiceAccount/loft/loft-manager",
			"/ClusterRole/loft-user to Group//loft:authenticated",
			"kube-system/Role/extension-apiserver-authentication-reader to ServiceAccount/loft/loft-manager",
			"loft/Role/loft-manager to ServiceAccount/loft/loft-manager",
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := embeddedFolders[name]()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, bindings(t, objects)); diff != "" {
				t.Errorf("bindings (-want +got):\n%s", diff)
			}
		})
	}
}

func describeBinding(namespace string, ref rbacv1.RoleRef, subjects []rbacv1.Subject) string {
	description := path.Join("/", namespace, ref.Kind, ref.Name)
	if namespace != "" {
		description = description[1:]
	}
	for _, s := range subjects {
		description += " to " + s.Kind + "/" + s.Namespace + "/" + s.Name
	}
	return description
}
