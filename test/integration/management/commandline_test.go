package management

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// TestCommandLine has our own client do what a 2.x client does with a manager: log in, ask who it is,
// list clusters, get a token, log out.
func TestCommandLine(t *testing.T) {
	if _, err := env.storage.StorageV1().Clusters().Create(t.Context(), &storagev1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: "for-loft"}, Spec: storagev1.ClusterSpec{DisplayName: "For loft"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// A person of its own, since logging out deletes the key.
	if err := env.addUser(t.Context(), "carol"); err != nil {
		t.Fatal(err)
	}
	if _, err := env.centralClient.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "carol"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "loft-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "loft:user:carol"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	loft := filepath.Join(dir, "loft")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", loft, "loft.sh/agent/cmd/loft").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	run := func(wantCode int, stdin string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), loft, args...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "KUBECONFIG="+filepath.Join(dir, "kubeconfig"), "DBUS_SESSION_BUS_ADDRESS=disabled:")
		cmd.Stdin = strings.NewReader(stdin)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != wantCode {
			t.Fatalf("%q ended with %d, want %d\n%s", args, code, wantCode, out)
		}
		return string(out)
	}
	contains := func(output string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(output, want) {
				t.Errorf("there is no %q in\n%s", want, output)
			}
		}
	}
	contains(run(3, env.keys["carol"]+"x", "login", env.url, "--insecure", "--access-key-file", "-"), "refused the access key")
	contains(run(0, env.keys["carol"], "login", env.url, "--insecure", "--access-key-file", "-"), "Logged in as carol", "Successfully logged into Loft instance "+env.url)
	contains(run(0, "", "whoami", "-o", "wide"), "carol", "User")
	contains(run(0, "", "list", "clusters", "-o", "wide"), "for-loft", "For loft")
	contains(run(1, "", "use", "cluster", "for-lotf"), "did you mean for-loft?")
	contains(run(0, "", "use", "cluster", "For loft"), "Successfully updated kube context to use cluster for-loft")
	contains(run(1, "", "use", "cluster", "for-loft", "--require-direct-cluster-endpoint"), "has no direct endpoint")
	contains(run(0, "", "list", "teams"), "NAME")
	// A cluster that nobody has reached has no UID that a token could be for.
	contains(run(1, "", "token", "--direct-cluster-endpoint", "--cluster", "for-loft"), "[error]  "+env.url)
	contains(run(0, "", "token", "--direct-cluster-endpoint"), `"kind":"ExecCredential"`, `"expirationTimestamp"`)
	contains(run(0, "", "logout"), "Successfully logged out")
	contains(run(3, "", "whoami"), "not logged in")
}
