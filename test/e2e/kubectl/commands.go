package kubectl

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
)

// commands are what everybody does with kubectl, but for streams.
var commands = []struct {
	name string
	run  func(*testing.T, *User)
}{
	{"get", testGet},
	{"apply", func(t *testing.T, k *User) { testApply(t, k, "client-side") }},
	{"apply --server-side", func(t *testing.T, k *User) { testApply(t, k, "server-side", "--server-side") }},
	{"apply --server-side conflict", testConflict},
	{"patch", testPatch},
	{"delete --wait", testDelete},
	{"get --watch", testWatch},
	{"explain", testExplain},
	{"api-resources", testResources},
	{"auth whoami", testWhoami},
}

// RunCommands does what everybody does, each in a test of its own.
func RunCommands(t *testing.T, k *User) {
	for _, test := range commands {
		t.Run(test.name, func(t *testing.T) { test.run(t, k) })
	}
}

func configMapYAML(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {key: %q}\n", name, value)
}

func testGet(t *testing.T, k *User) {
	k.Output(t, "create", "configmap", "got", "--from-literal=key=value")
	for _, test := range []struct {
		name, format string
		want         []string
	}{
		{"name", "name", []string{"configmap/got\n"}},
		{"yaml", "yaml", []string{"kind: ConfigMap\n", "  key: value\n", "  namespace: " + k.Namespace + "\n"}},
		{"table", "wide", []string{"NAME   DATA   AGE\n", "got    1      "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := k.Output(t, "get", "configmap", "got", "-o", test.format)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want %q in it", got, want)
				}
			}
		})
	}
}

// testApply creates, changes, and leaves alone what has not changed.
func testApply(t *testing.T, k *User, name string, flags ...string) {
	args := append([]string{"apply", "-f", "-"}, flags...)
	for _, value := range []string{"one", "two"} {
		k.OutputWith(t, strings.NewReader(configMapYAML(name, value)), args...)
		if got := k.data(t, name); got != value {
			t.Errorf("got data %q, want %q", got, value)
		}
	}
	before := k.ResourceVersion(t, name)
	k.OutputWith(t, strings.NewReader(configMapYAML(name, "two")), args...)
	if after := k.ResourceVersion(t, name); after != before {
		t.Errorf("apply of the same changed resource version %s to %s", before, after)
	}
}

func testConflict(t *testing.T, k *User) {
	k.Output(t, "create", "configmap", "contested", "--from-literal=key=theirs")
	cmd := k.Command(t, "apply", "--server-side", "-f", "-")
	cmd.Stdin = strings.NewReader(configMapYAML("contested", "mine"))
	out, err := cmd.CombinedOutput()
	if want := `conflict with "kubectl-create" using v1: .data.key`; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("got %v and %q, want %q", err, out, want)
	}
	if got := k.data(t, "contested"); got != "theirs" {
		t.Errorf("got data %q after a conflict, want %q", got, "theirs")
	}
}

func testPatch(t *testing.T, k *User) {
	k.Output(t, "create", "configmap", "patched", "--from-literal=key=before")
	for _, test := range []struct{ kind, patch string }{
		{"strategic", `{"data":{"key":"strategic"}}`},
		{"merge", `{"data":{"key":"merge"}}`},
		{"json", `[{"op":"replace","path":"/data/key","value":"json"}]`},
	} {
		t.Run(test.kind, func(t *testing.T) {
			k.Output(t, "patch", "configmap", "patched", "--type="+test.kind, "--patch="+test.patch)
			if got := k.data(t, "patched"); got != test.kind {
				t.Errorf("got data %q, want %q", got, test.kind)
			}
		})
	}
}

func testDelete(t *testing.T, k *User) {
	k.Output(t, "create", "configmap", "deleted")
	if got, want := k.Output(t, "delete", "configmap", "deleted", "--wait", "-o", "name"), "configmap/deleted\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err := k.admin.CoreV1().ConfigMaps(k.Namespace).Get(t.Context(), "deleted", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("got %v, want not found", err)
	}
}

func testWatch(t *testing.T, k *User) {
	k.Output(t, "create", "configmap", "watch-before")
	watch := Start(t, k.Command(t, "get", "configmaps", "--watch", "--output-watch-events",
		`-o=jsonpath={.type} {.object.metadata.name}{"\n"}`))
	watch.Until(t, "^ADDED watch-before$")
	k.Output(t, "create", "configmap", "watch-after")
	watch.Until(t, "^ADDED watch-after$")
	k.Output(t, "delete", "configmap", "watch-before")
	watch.Until(t, "^DELETED watch-before$")
}

func testExplain(t *testing.T, k *User) {
	got := k.Output(t, "explain", "deployment.spec.replicas")
	for _, want := range []string{"GROUP:      apps", "FIELD: replicas <integer>"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
}

func testResources(t *testing.T, k *User) {
	direct := *k
	direct.kubeconfig, direct.dir = k.DirectKubeconfig, t.TempDir()
	if diff := cmp.Diff(direct.Output(t, "api-resources", "-o", "wide"), k.Output(t, "api-resources", "-o", "wide")); diff != "" {
		t.Errorf("api-resources differ from the API server's own (-direct +endpoint):\n%s", diff)
	}
}

func testWhoami(t *testing.T, k *User) {
	var got authenticationv1.SelfSubjectReview
	if err := json.Unmarshal([]byte(k.Output(t, "auth", "whoami", "-o", "json")), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(k.User, got.Status.UserInfo); diff != "" {
		t.Errorf("user differs (-want +got):\n%s", diff)
	}
}

// data is what the API server itself holds below "key".
func (k *User) data(t *testing.T, name string) string {
	t.Helper()
	configMap, err := k.admin.CoreV1().ConfigMaps(k.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return configMap.Data["key"]
}

// ResourceVersion is that of a ConfigMap, as the API server itself has it.
func (k *User) ResourceVersion(t *testing.T, name string) string {
	t.Helper()
	configMap, err := k.admin.CoreV1().ConfigMaps(k.Namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return configMap.ResourceVersion
}
