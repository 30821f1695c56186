package kubectl

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"loft.sh/agent/test/controlplane"
)

// Way is how kubectl reaches a cluster, and how the cluster is reached past it, to see what kubectl did
// there.
type Way struct {
	// Binary is kubectl itself.
	Binary string
	// Config is the way.
	Config *rest.Config
	// User is whom the API server sees: a cluster admin.
	User authenticationv1.UserInfo
	// Direct is an administrator's own way to the API server, and DirectKubeconfig the same in a file.
	Direct           *rest.Config
	DirectKubeconfig string
	// AuditLog is that of the agent on the way.
	AuditLog string
}

// User runs the real kubectl in a namespace of its own.
type User struct {
	Way
	Namespace       string
	admin           kubernetes.Interface
	kubeconfig, dir string
}

// New makes a namespace that ends with the test.
func New(t *testing.T, way Way) *User {
	t.Helper()
	admin, err := kubernetes.NewForConfig(way.Direct)
	if err != nil {
		t.Fatal(err)
	}
	k := &User{Way: way, admin: admin, dir: t.TempDir()}
	k.kubeconfig = filepath.Join(k.dir, "kubeconfig")
	if err := controlplane.WriteKubeconfig(k.kubeconfig, "endpoint", way.Config); err != nil {
		t.Fatal(err)
	}
	namespace, err := admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "kubectl-"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k.Namespace = namespace.Name
	t.Cleanup(func() {
		err := admin.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), k.Namespace, metav1.DeleteOptions{})
		if err != nil {
			t.Error(err)
		}
	})
	// The service account controller's work, without which no pod is admitted.
	Await(t, "service account", func(ctx context.Context) bool {
		_, err := admin.CoreV1().ServiceAccounts(k.Namespace).Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
	return k
}

// Command returns a kubectl that ends with the test.
func (k *User) Command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), k.Binary,
		append([]string{"--kubeconfig=" + k.kubeconfig, "--namespace=" + k.Namespace}, args...)...)
	cmd.Dir = k.dir
	cmd.Env = append(os.Environ(), "HOME="+k.dir, "KUBECACHEDIR="+filepath.Join(k.dir, "cache"))
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// Output runs kubectl and returns what it wrote to stdout.
func (k *User) Output(t *testing.T, args ...string) string {
	t.Helper()
	return OutputOf(t, k.Command(t, args...))
}

// OutputWith is Output with something to read.
func (k *User) OutputWith(t *testing.T, stdin io.Reader, args ...string) string {
	t.Helper()
	cmd := k.Command(t, args...)
	cmd.Stdin = stdin
	return OutputOf(t, cmd)
}

// Await waits for a condition.
func Await(t *testing.T, what string, condition func(context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true,
		func(ctx context.Context) (bool, error) { return condition(ctx), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// OutputOf runs a command and returns what it wrote to stdout.
func OutputOf(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, &stderr)
	}
	return string(out)
}

// Lines are what a command writes while it runs.
type Lines struct {
	cmd    *exec.Cmd
	stdout *bufio.Scanner
	stderr bytes.Buffer
}

// Start starts a command that runs until the test ends.
func Start(t *testing.T, cmd *exec.Cmd) *Lines {
	t.Helper()
	l := &Lines{cmd: cmd}
	cmd.Stderr = &l.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	l.stdout = bufio.NewScanner(stdout)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	return l
}

// Drain reads on until the command writes no more.
func (l *Lines) Drain() {
	for l.stdout.Scan() {
	}
}

// Until reads on to the line that matches and returns what the pattern's group holds.
func (l *Lines) Until(t *testing.T, pattern string) string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	for l.stdout.Scan() {
		if match := expression.FindStringSubmatch(l.stdout.Text()); match != nil {
			return match[len(match)-1]
		}
	}
	err := l.cmd.Wait()
	t.Fatalf("%v: no line matches %s: %v\n%s", l.cmd.Args, pattern, err, &l.stderr)
	return ""
}
