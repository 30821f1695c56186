package kubectl

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"loft.sh/agent/test/nodes/kubelet"
)

// silenceVariable names how long a stream says nothing, in whole seconds. Load balancers end
// streams after a minute; a run with 90s shows that the agent does not:
//
//	E2E_SILENCE=90s go test -race -parallel=64 -run=TestKubectlStreams ./test/e2e/
const silenceVariable = "E2E_SILENCE"

const defaultSilence = 3 * time.Second

// StreamPod runs in the namespace of every test of streams.
const StreamPod = "web"

// Protocols are how kubectl upgrades, and the verb that the audit log shows then: a
// WebSocket begins with GET. kubectl falls back to SPDY without a word, so the verb is checked.
var Protocols = []struct {
	Name, WebSockets, Verb string
}{
	{"WebSocket", "true", "get"},
	{"SPDY", "false", "create"},
}

// Streams runs the kinds of kubectl that hold connections open.
type Streams struct {
	*User
	// WebSockets is one of those of Protocols.
	WebSockets string
	// Silence is how long a stream says nothing, in whole seconds.
	Silence time.Duration
}

// All runs every stream, and ends when every one has. RunPod comes before it.
func (s *Streams) All(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"exec with stdin", s.execStdin},
		{"exec on a terminal", s.execTerminal},
		{"exec that is silent", s.ExecSilent},
		{"exec's exit status", s.execStatus},
		{"exec's stderr", s.execStderr},
		{"attach", s.attach},
		{"cp", s.copyFiles},
		{"logs", s.logs},
		{"logs -f that is silent", s.followLogs},
		{"port-forward that is silent", s.PortForward},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

// WantedSilence is what the environment asks for, and short otherwise.
func WantedSilence(t *testing.T) time.Duration {
	t.Helper()
	value := os.Getenv(silenceVariable)
	if value == "" {
		return defaultSilence
	}
	silence, err := time.ParseDuration(value)
	if err != nil || silence <= 0 || silence%time.Second != 0 {
		t.Fatalf("%s=%q: want a duration of whole seconds, such as 90s", silenceVariable, value)
	}
	return silence
}

// RunPod starts the pod that the streams lead to.
func (s *Streams) RunPod(t *testing.T) {
	t.Helper()
	pods := s.admin.CoreV1().Pods(s.Namespace)
	_, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: StreamPod, Annotations: map[string]string{
			kubelet.LogAfterAnnotation: strconv.Itoa(int(s.Silence / time.Second)),
		}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none", Stdin: true}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	Await(t, "pod runs", func(ctx context.Context) bool {
		pod, err := pods.Get(ctx, StreamPod, metav1.GetOptions{})
		return err == nil && pod.Status.Phase == corev1.PodRunning
	})
	t.Logf("pod runs after %s", time.Since(begun).Round(time.Millisecond))
}

// Stream returns a kubectl that speaks the protocol under test.
func (s *Streams) Stream(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := s.Command(t, args...)
	cmd.Env = append(cmd.Env, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS="+s.WebSockets,
		"KUBECTL_PORT_FORWARD_WEBSOCKETS="+s.WebSockets)
	return cmd
}

func (s *Streams) execStdin(t *testing.T) {
	cmd := s.Stream(t, "exec", "-i", StreamPod, "--", "cat")
	sent := strings.Repeat("what goes in comes out\n", 10_000)
	cmd.Stdin = strings.NewReader(sent)
	if got := OutputOf(t, cmd); got != sent {
		t.Errorf("got %d bytes back, want the %d that were sent", len(got), len(sent))
	}
}

// ExecSilent sees what comes after a silence.
func (s *Streams) ExecSilent(t *testing.T) {
	seconds := strconv.Itoa(int(s.Silence / time.Second))
	l := Start(t, s.Stream(t, "exec", StreamPod, "--", "sh", "-c", "echo now; sleep "+seconds+"; echo later"))
	l.Until(t, "^now$")
	begun := time.Now()
	l.Until(t, "^later$")
	s.WasSilent(t, begun)
}

func (s *Streams) execStatus(t *testing.T) {
	cmd := s.Stream(t, "exec", StreamPod, "--", "sh", "-c", "exit 7")
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("kubectl ended with %v, want exit status 7", err)
	}
}

func (s *Streams) execStderr(t *testing.T) {
	cmd := s.Stream(t, "exec", StreamPod, "--", "sh", "-c", "echo out; echo err >&2")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || string(out) != "out\n" || stderr.String() != "err\n" {
		t.Errorf("got %v, stdout %q, stderr %q", err, out, &stderr)
	}
}

func (s *Streams) attach(t *testing.T) {
	cmd := s.Stream(t, "attach", "-i", StreamPod)
	cmd.Stdin = strings.NewReader("one\ntwo\n")
	if got, want := OutputOf(t, cmd), "attached\none\ntwo\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// copyFiles names relative paths: they lie in the pod's scratch directory.
func (s *Streams) copyFiles(t *testing.T) {
	dir := t.TempDir()
	sent, received := filepath.Join(dir, "sent"), filepath.Join(dir, "received")
	content := make([]byte, 10<<20)
	_, _ = rand.Read(content)
	if err := os.WriteFile(sent, content, 0o600); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	OutputOf(t, s.Stream(t, "cp", sent, StreamPod+":copied"))
	there := time.Since(begun)
	OutputOf(t, s.Stream(t, "cp", StreamPod+":copied", received))
	t.Logf("10 MiB there in %s, and back in %s", there, time.Since(begun)-there)
	got, err := os.ReadFile(received)
	if err != nil {
		t.Fatal(err)
	}
	if sha256.Sum256(got) != sha256.Sum256(content) {
		t.Errorf("got %d bytes back that differ from the %d sent", len(got), len(content))
	}
}

func (s *Streams) logs(t *testing.T) {
	for _, test := range []struct{ arg, want string }{
		{"--tail=-1", "hello from web\n"}, {"--tail=0", ""}, {"--limit-bytes=5", "hello"},
	} {
		t.Run(test.arg, func(t *testing.T) {
			if got := s.Output(t, "logs", StreamPod, test.arg); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// followLogs sees the first line at once, which shows that it was flushed.
func (s *Streams) followLogs(t *testing.T) {
	l := Start(t, s.Stream(t, "logs", "-f", StreamPod))
	l.Until(t, "^hello from web$")
	begun := time.Now()
	l.Until(t, "^later from web$")
	s.WasSilent(t, begun)
}

// PortForward uses a connection that says nothing for a while, and then a second one.
func (s *Streams) PortForward(t *testing.T) {
	port := lateEcho(t, s.Silence)
	l := Start(t, s.Stream(t, "port-forward", "--address=127.0.0.1", "pod/"+StreamPod, ":"+port))
	local := l.Until(t, `^Forwarding from (127\.0\.0\.1:\d+) `)
	for i := range 2 {
		begun := time.Now()
		sent := fmt.Sprintf("line %d\n", i)
		if got, err := exchangeLine(t, local, sent); err != nil || got != sent {
			t.Errorf("got %q, %v through the forwarded port, want %q", got, err, sent)
		}
		if i == 0 {
			s.WasSilent(t, begun)
		}
	}
}

// WasSilent guards against a test that shows nothing: what came, came after the silence.
func (s *Streams) WasSilent(t *testing.T, begun time.Time) {
	t.Helper()
	// What begins the silence takes its time to reach us; what ends it, too.
	if got := time.Since(begun); got < s.Silence-time.Second {
		t.Errorf("silent for %s only, want %s", got, s.Silence)
	} else {
		t.Logf("silent for %s", got.Round(time.Millisecond))
	}
}

// lateEcho returns the port of a server that returns a line, on the first connection after the silence.
func lateEcho(t *testing.T, silence time.Duration) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for wait := silence; ; wait = 0 {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			} else if err == nil {
				go echoLine(conn, wait)
			}
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func echoLine(conn net.Conn, wait time.Duration) {
	defer func() { _ = conn.Close() }()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return
	}
	<-time.After(wait)
	_, _ = io.WriteString(conn, line)
}

func exchangeLine(t *testing.T, address, line string) (string, error) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, line); err != nil {
		return "", err
	}
	got, err := io.ReadAll(conn)
	return string(got), err
}

// AuditedVerbs are those of the agent's audit log, by subresource of this namespace's pod.
func (s *Streams) AuditedVerbs(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.Open(s.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	verbs := map[string]string{}
	records := bufio.NewScanner(file)
	records.Buffer(nil, 1<<20)
	for records.Scan() {
		var event auditv1.Event
		if err := json.Unmarshal(records.Bytes(), &event); err != nil {
			continue // another test's record, half written
		}
		object := event.ObjectRef
		if object == nil || object.Namespace != s.Namespace || object.Resource != "pods" || object.Subresource == "" {
			continue
		}
		if known := verbs[object.Subresource]; !strings.Contains(known, event.Verb) {
			verbs[object.Subresource] = strings.TrimSpace(known + " " + event.Verb)
		}
	}
	if err := records.Err(); err != nil {
		t.Fatal(err)
	}
	return verbs
}
