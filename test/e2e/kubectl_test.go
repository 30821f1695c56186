package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"loft.sh/agent/pkg/accesstoken"
)

// kubectlCommands are what everybody does with kubectl, but for streams.
var kubectlCommands = []struct {
	name string
	run  func(*testing.T, *kubectlUser)
}{
	{"get", kubectlGet},
	{"apply", func(t *testing.T, k *kubectlUser) { kubectlApply(t, k, "client-side") }},
	{"apply --server-side", func(t *testing.T, k *kubectlUser) { kubectlApply(t, k, "server-side", "--server-side") }},
	{"apply --server-side conflict", kubectlConflict},
	{"patch", kubectlPatch},
	{"delete --wait", kubectlDelete},
	{"get --watch", kubectlWatch},
	{"explain", kubectlExplain},
	{"api-resources", kubectlResources},
	{"auth whoami", kubectlWhoami},
}

func TestKubectl(t *testing.T) {
	for _, port := range kubectlPorts {
		t.Run(port.name, func(t *testing.T) {
			t.Parallel()
			runKubectlCommands(t, newKubectlUser(t, port.config(t)))
		})
	}
}

func runKubectlCommands(t *testing.T, k *kubectlUser) {
	for _, test := range kubectlCommands {
		t.Run(test.name, func(t *testing.T) { test.run(t, k) })
	}
}

func configMapYAML(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {key: %q}\n", name, value)
}

func kubectlGet(t *testing.T, k *kubectlUser) {
	k.output(t, "create", "configmap", "got", "--from-literal=key=value")
	for _, test := range []struct {
		name, format string
		want         []string
	}{
		{"name", "name", []string{"configmap/got\n"}},
		{"yaml", "yaml", []string{"kind: ConfigMap\n", "  key: value\n", "  namespace: " + k.namespace + "\n"}},
		{"table", "wide", []string{"NAME   DATA   AGE\n", "got    1      "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := k.output(t, "get", "configmap", "got", "-o", test.format)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want %q in it", got, want)
				}
			}
		})
	}
}

// kubectlApply creates, changes, and leaves alone what has not changed.
func kubectlApply(t *testing.T, k *kubectlUser, name string, flags ...string) {
	args := append([]string{"apply", "-f", "-"}, flags...)
	for _, value := range []string{"one", "two"} {
		k.outputWith(t, strings.NewReader(configMapYAML(name, value)), args...)
		if got := k.data(t, name); got != value {
			t.Errorf("got data %q, want %q", got, value)
		}
	}
	before := k.resourceVersion(t, name)
	k.outputWith(t, strings.NewReader(configMapYAML(name, "two")), args...)
	if after := k.resourceVersion(t, name); after != before {
		t.Errorf("apply of the same changed resource version %s to %s", before, after)
	}
}

func kubectlConflict(t *testing.T, k *kubectlUser) {
	k.output(t, "create", "configmap", "contested", "--from-literal=key=theirs")
	cmd := k.command(t, "apply", "--server-side", "-f", "-")
	cmd.Stdin = strings.NewReader(configMapYAML("contested", "mine"))
	out, err := cmd.CombinedOutput()
	if want := `conflict with "kubectl-create" using v1: .data.key`; err == nil || !strings.Contains(string(out), want) {
		t.Errorf("got %v and %q, want %q", err, out, want)
	}
	if got := k.data(t, "contested"); got != "theirs" {
		t.Errorf("got data %q after a conflict, want %q", got, "theirs")
	}
}

func kubectlPatch(t *testing.T, k *kubectlUser) {
	k.output(t, "create", "configmap", "patched", "--from-literal=key=before")
	for _, test := range []struct{ kind, patch string }{
		{"strategic", `{"data":{"key":"strategic"}}`},
		{"merge", `{"data":{"key":"merge"}}`},
		{"json", `[{"op":"replace","path":"/data/key","value":"json"}]`},
	} {
		t.Run(test.kind, func(t *testing.T) {
			k.output(t, "patch", "configmap", "patched", "--type="+test.kind, "--patch="+test.patch)
			if got := k.data(t, "patched"); got != test.kind {
				t.Errorf("got data %q, want %q", got, test.kind)
			}
		})
	}
}

func kubectlDelete(t *testing.T, k *kubectlUser) {
	k.output(t, "create", "configmap", "deleted")
	if got, want := k.output(t, "delete", "configmap", "deleted", "--wait", "-o", "name"), "configmap/deleted\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err := k.admin.CoreV1().ConfigMaps(k.namespace).Get(t.Context(), "deleted", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("got %v, want not found", err)
	}
}

func kubectlWatch(t *testing.T, k *kubectlUser) {
	k.output(t, "create", "configmap", "watch-before")
	watch := startLines(t, k.command(t, "get", "configmaps", "--watch", "--output-watch-events",
		`-o=jsonpath={.type} {.object.metadata.name}{"\n"}`))
	watch.until(t, "^ADDED watch-before$")
	k.output(t, "create", "configmap", "watch-after")
	watch.until(t, "^ADDED watch-after$")
	k.output(t, "delete", "configmap", "watch-before")
	watch.until(t, "^DELETED watch-before$")
}

func kubectlExplain(t *testing.T, k *kubectlUser) {
	got := k.output(t, "explain", "deployment.spec.replicas")
	for _, want := range []string{"GROUP:      apps", "FIELD: replicas <integer>"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
}

func kubectlResources(t *testing.T, k *kubectlUser) {
	direct := *k
	direct.kubeconfig, direct.dir = shared.Cluster().AdminKubeconfig(), t.TempDir()
	if diff := cmp.Diff(direct.output(t, "api-resources", "-o", "wide"), k.output(t, "api-resources", "-o", "wide")); diff != "" {
		t.Errorf("api-resources differ from the API server's own (-direct +endpoint):\n%s", diff)
	}
}

func kubectlWhoami(t *testing.T, k *kubectlUser) {
	var got authenticationv1.SelfSubjectReview
	if err := json.Unmarshal([]byte(k.output(t, "auth", "whoami", "-o", "json")), &got); err != nil {
		t.Fatal(err)
	}
	want := authenticationv1.UserInfo{
		Username: accesstoken.PersonName(kubectlPerson), UID: kubectlPerson + "-uid",
		Groups: accesstoken.PersonGroups(kubectlPerson),
	}
	if diff := cmp.Diff(want, got.Status.UserInfo); diff != "" {
		t.Errorf("user differs (-want +got):\n%s", diff)
	}
}

// data is what the API server itself holds below "key".
func (k *kubectlUser) data(t *testing.T, name string) string {
	t.Helper()
	configMap, err := k.admin.CoreV1().ConfigMaps(k.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return configMap.Data["key"]
}

func (k *kubectlUser) resourceVersion(t *testing.T, name string) string {
	t.Helper()
	configMap, err := k.admin.CoreV1().ConfigMaps(k.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return configMap.ResourceVersion
}
