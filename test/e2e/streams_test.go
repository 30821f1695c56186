package e2e

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
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

// streamPod runs in the namespace of every test of streams.
const streamPod = "web"

// streamProtocols are how kubectl upgrades, and the verb that the audit log shows then: a
// WebSocket begins with GET. kubectl falls back to SPDY without a word, so the verb is checked.
var streamProtocols = []struct {
	name, webSockets, verb string
}{
	{"WebSocket", "true", "get"},
	{"SPDY", "false", "create"},
}

type streamUser struct {
	*kubectlUser
	webSockets string
	silence    time.Duration
}

func TestKubectlStreams(t *testing.T) {
	silence := wantedSilence(t)
	for _, port := range append(slices.Clone(kubectlPorts), aggregatedDoor) {
		for _, protocol := range streamProtocols {
			t.Run(port.name+"/"+protocol.name, func(t *testing.T) {
				t.Parallel()
				s := &streamUser{newKubectlUser(t, port.config(t)), protocol.webSockets, silence}
				s.runPod(t)
				t.Run("streams", s.all)
				want := map[string]string{"exec": protocol.verb, "attach": protocol.verb, "portforward": protocol.verb, "log": "get"}
				if diff := cmp.Diff(want, s.auditedVerbs(t)); diff != "" {
					t.Errorf("audited verbs by subresource differ (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// all ends when every stream has.
func (s *streamUser) all(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"exec with stdin", s.execStdin},
		{"exec on a terminal", s.execTerminal},
		{"exec that is silent", s.execSilent},
		{"exec's exit status", s.execStatus},
		{"exec's stderr", s.execStderr},
		{"attach", s.attach},
		{"cp", s.copyFiles},
		{"logs", s.logs},
		{"logs -f that is silent", s.followLogs},
		{"port-forward that is silent", s.portForward},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

func wantedSilence(t *testing.T) time.Duration {
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

func (s *streamUser) runPod(t *testing.T) {
	t.Helper()
	pods := s.admin.CoreV1().Pods(s.namespace)
	_, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: streamPod, Annotations: map[string]string{
			kubelet.LogAfterAnnotation: strconv.Itoa(int(s.silence / time.Second)),
		}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none", Stdin: true}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	s.await(t, "pod runs", func(ctx context.Context) bool {
		pod, err := pods.Get(ctx, streamPod, metav1.GetOptions{})
		return err == nil && pod.Status.Phase == corev1.PodRunning
	})
	t.Logf("pod runs after %s", time.Since(begun).Round(time.Millisecond))
}

// stream returns a kubectl that speaks the protocol under test.
func (s *streamUser) stream(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := s.command(t, args...)
	cmd.Env = append(cmd.Env, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS="+s.webSockets,
		"KUBECTL_PORT_FORWARD_WEBSOCKETS="+s.webSockets)
	return cmd
}

func (s *streamUser) execStdin(t *testing.T) {
	cmd := s.stream(t, "exec", "-i", streamPod, "--", "cat")
	sent := strings.Repeat("what goes in comes out\n", 10_000)
	cmd.Stdin = strings.NewReader(sent)
	if got := outputOf(t, cmd); got != sent {
		t.Errorf("got %d bytes back, want the %d that were sent", len(got), len(sent))
	}
}

func (s *streamUser) execSilent(t *testing.T) {
	seconds := strconv.Itoa(int(s.silence / time.Second))
	l := startLines(t, s.stream(t, "exec", streamPod, "--", "sh", "-c", "echo now; sleep "+seconds+"; echo later"))
	l.until(t, "^now$")
	begun := time.Now()
	l.until(t, "^later$")
	s.wasSilent(t, begun)
}

func (s *streamUser) execStatus(t *testing.T) {
	cmd := s.stream(t, "exec", streamPod, "--", "sh", "-c", "exit 7")
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("kubectl ended with %v, want exit status 7", err)
	}
}

func (s *streamUser) execStderr(t *testing.T) {
	cmd := s.stream(t, "exec", streamPod, "--", "sh", "-c", "echo out; echo err >&2")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || string(out) != "out\n" || stderr.String() != "err\n" {
		t.Errorf("got %v, stdout %q, stderr %q", err, out, &stderr)
	}
}

func (s *streamUser) attach(t *testing.T) {
	cmd := s.stream(t, "attach", "-i", streamPod)
	cmd.Stdin = strings.NewReader("one\ntwo\n")
	if got, want := outputOf(t, cmd), "attached\none\ntwo\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// copyFiles names relative paths: they lie in the pod's scratch directory.
func (s *streamUser) copyFiles(t *testing.T) {
	dir := t.TempDir()
	sent, received := filepath.Join(dir, "sent"), filepath.Join(dir, "received")
	content := make([]byte, 10<<20)
	_, _ = rand.Read(content)
	if err := os.WriteFile(sent, content, 0o600); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	outputOf(t, s.stream(t, "cp", sent, streamPod+":copied"))
	there := time.Since(begun)
	outputOf(t, s.stream(t, "cp", streamPod+":copied", received))
	t.Logf("10 MiB there in %s, and back in %s", there, time.Since(begun)-there)
	got, err := os.ReadFile(received)
	if err != nil {
		t.Fatal(err)
	}
	if sha256.Sum256(got) != sha256.Sum256(content) {
		t.Errorf("got %d bytes back that differ from the %d sent", len(got), len(content))
	}
}

func (s *streamUser) logs(t *testing.T) {
	for _, test := range []struct{ arg, want string }{
		{"--tail=-1", "hello from web\n"}, {"--tail=0", ""}, {"--limit-bytes=5", "hello"},
	} {
		t.Run(test.arg, func(t *testing.T) {
			if got := s.output(t, "logs", streamPod, test.arg); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// followLogs sees the first line at once, which shows that it was flushed.
func (s *streamUser) followLogs(t *testing.T) {
	l := startLines(t, s.stream(t, "logs", "-f", streamPod))
	l.until(t, "^hello from web$")
	begun := time.Now()
	l.until(t, "^later from web$")
	s.wasSilent(t, begun)
}

// portForward uses a connection that says nothing for a while, and then a second one.
func (s *streamUser) portForward(t *testing.T) {
	port := lateEcho(t, s.silence)
	l := startLines(t, s.stream(t, "port-forward", "--address=127.0.0.1", "pod/"+streamPod, ":"+port))
	local := l.until(t, `^Forwarding from (127\.0\.0\.1:\d+) `)
	for i := range 2 {
		begun := time.Now()
		sent := fmt.Sprintf("line %d\n", i)
		if got, err := exchangeLine(t, local, sent); err != nil || got != sent {
			t.Errorf("got %q, %v through the forwarded port, want %q", got, err, sent)
		}
		if i == 0 {
			s.wasSilent(t, begun)
		}
	}
}

// wasSilent guards against a test that shows nothing: what came, came after the silence.
func (s *streamUser) wasSilent(t *testing.T, begun time.Time) {
	t.Helper()
	// What begins the silence takes its time to reach us; what ends it, too.
	if got := time.Since(begun); got < s.silence-time.Second {
		t.Errorf("silent for %s only, want %s", got, s.silence)
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

// auditedVerbs are those of the agent's audit log, by subresource of this namespace's pod.
func (s *streamUser) auditedVerbs(t *testing.T) map[string]string {
	t.Helper()
	file, err := os.Open(shared.AgentAuditLog())
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
		if object == nil || object.Namespace != s.namespace || object.Resource != "pods" || object.Subresource == "" {
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
