package nodes_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/nodes"
	"loft.sh/agent/test/nodes/kubelet"
)

// buildTimeout is enough for the first build of all programs.
const buildTimeout = 30 * time.Minute

func TestStreams(t *testing.T) {
	c := startCluster(t)
	c.runPod(t, "web")
	for _, test := range []struct {
		name string
		run  func(*testing.T, *cluster)
	}{
		{"exec over WebSocket", func(t *testing.T, c *cluster) { c.exec(t, "true") }},
		{"exec over SPDY", func(t *testing.T, c *cluster) { c.exec(t, "false") }},
		{"exec on a terminal", terminal},
		{"exit status", exitStatus},
		{"exec ends with its client", clientGone},
		{"attach", attach},
		{"copy", copyFiles},
		{"logs", logs},
		{"follow logs", followLogs},
		{"port-forward", portForward},
		{"no client certificate", noCertificate},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, c)
		})
	}
}

// cluster is a control plane with nodes.
type cluster struct {
	*controlplane.ControlPlane
	client kubernetes.Interface
	nodes  *nodes.Nodes
	dir    string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), buildTimeout)
	defer cancel()
	dir := t.TempDir()
	args, err := nodes.APIServerArgs(dir)
	if err != nil {
		t.Fatal(err)
	}
	cp, err := controlplane.Start(ctx, controlplane.Options{
		Name: "nodes", Log: t.Output(), ControllerManager: true, ExtraAPIServerArgs: args,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noError(t, cp.Stop()) })
	begun := time.Now()
	n, err := nodes.Start(ctx, nodes.Options{Kubeconfig: cp.AdminKubeconfig(), Dir: dir, Count: 2, Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("nodes %v ready after %s", n.Names(), time.Since(begun).Round(time.Millisecond))
	t.Cleanup(func() { noError(t, n.Stop()) })
	client, err := kubernetes.NewForConfig(cp.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{ControlPlane: cp, client: client, nodes: n, dir: dir}
}

func (c *cluster) runPod(t *testing.T, name string) {
	t.Helper()
	pods := c.client.CoreV1().Pods("default")
	_, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{kubelet.LogAfterAnnotation: "1"},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none", Stdin: true}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	eventually(t, "pod runs", func(ctx context.Context) bool {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		return err == nil && pod.Status.Phase == corev1.PodRunning
	})
	t.Logf("pod runs after %s", time.Since(begun).Round(time.Millisecond))
}

// kubectl returns a command that ends with the test.
func (c *cluster) kubectl(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.Binaries().Kubectl,
		append([]string{"--kubeconfig=" + c.AdminKubeconfig()}, args...)...)
	cmd.Dir = t.TempDir()
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// output runs kubectl and returns what it wrote to stdout.
func (c *cluster) output(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, c.kubectl(t, args...))
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, &stderr)
	}
	return string(out)
}

func (c *cluster) exec(t *testing.T, webSockets string) {
	cmd := c.kubectl(t, "exec", "-i", "web", "--", "cat")
	cmd.Env = append(os.Environ(), "KUBECTL_REMOTE_COMMAND_WEBSOCKETS="+webSockets)
	sent := strings.Repeat("what goes in comes out\n", 10_000)
	cmd.Stdin = strings.NewReader(sent)
	if got := run(t, cmd); got != sent {
		t.Errorf("got %d bytes back, want the %d that were sent", len(got), len(sent))
	}
}

// terminal asks the API server itself: kubectl needs a terminal of its own for -t.
func terminal(t *testing.T, c *cluster) {
	out := c.onTerminal(t, "sh", "-c", `test -t 0 && test -t 1 || exit 1
		until test "$(stty size)" = "37 91"; do sleep 0.02; done
		echo sized; read line; echo got $line`)
	for _, want := range []string{"sized", "got word"} {
		if !strings.Contains(out, want) {
			t.Errorf("terminal shows %q, want %q", out, want)
		}
	}
}

func exitStatus(t *testing.T, c *cluster) {
	cmd := c.kubectl(t, "exec", "web", "--", "sh", "-c", "exit 7")
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("kubectl ended with %v, want exit status 7", err)
	}
}

// clientGone kills kubectl and looks for the process that it started.
func clientGone(t *testing.T, c *cluster) {
	cmd := c.kubectl(t, "exec", "web", "--", "sh", "-c", "echo $$; exec tail -f /dev/null")
	pid := firstLine(t, cmd, regexp.MustCompile(`^(\d+)$`))
	proc := filepath.Join("/proc", pid)
	if _, err := os.Stat(proc); err != nil {
		t.Fatalf("command %s is not in the process table: %v", pid, err)
	}
	noError(t, cmd.Process.Kill())
	eventually(t, "command ends", func(context.Context) bool {
		_, err := os.Stat(proc)
		return os.IsNotExist(err)
	})
}

func attach(t *testing.T, c *cluster) {
	cmd := c.kubectl(t, "attach", "-i", "web")
	cmd.Stdin = strings.NewReader("one\ntwo\n")
	if got, want := run(t, cmd), "attached\none\ntwo\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func copyFiles(t *testing.T, c *cluster) {
	dir := t.TempDir()
	sent, received := filepath.Join(dir, "sent"), filepath.Join(dir, "received")
	content := make([]byte, 10<<20)
	_, _ = rand.Read(content)
	noError(t, os.WriteFile(sent, content, 0o600))
	c.output(t, "cp", sent, "web:copied")
	c.output(t, "cp", "web:copied", received)
	got, err := os.ReadFile(received)
	noError(t, err)
	if sha256.Sum256(got) != sha256.Sum256(content) {
		t.Errorf("got %d bytes back that differ from the %d sent", len(got), len(content))
	}
}

func logs(t *testing.T, c *cluster) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"plain", nil, `^hello from web\n$`},
		{"timestamps", []string{"--timestamps"}, `^\d{4}-\d\d-\d\dT\S+Z hello from web\n$`},
		{"no tail", []string{"--tail=0"}, `^$`},
		{"limit", []string{"--limit-bytes=5"}, `^hello$`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := c.output(t, append([]string{"logs", "web"}, test.args...)...)
			if !regexp.MustCompile(test.want).MatchString(got) {
				t.Errorf("got %q, want %s", got, test.want)
			}
		})
	}
}

func followLogs(t *testing.T, c *cluster) {
	firstLine(t, c.kubectl(t, "logs", "-f", "web"), regexp.MustCompile(`^(later from web)$`))
}

func portForward(t *testing.T, c *cluster) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "served")
	}))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	noError(t, err)
	local := firstLine(t, c.kubectl(t, "port-forward", "--address=127.0.0.1", "pod/web", ":"+port),
		regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) `))
	for range 3 {
		response, err := http.Get("http://" + local)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || string(body) != "served" {
			t.Errorf("got %q, %v through the forwarded port", body, err)
		}
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func eventually(t *testing.T, what string, condition func(context.Context) bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true,
		func(ctx context.Context) (bool, error) { return condition(ctx), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
