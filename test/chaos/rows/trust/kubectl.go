package trust

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/sandbox"
)

// streamPod is what streams lead to.
const streamPod = "streams"

// stream is one kubectl that stays open.
type stream struct {
	name string
	args []string
	// open matches the line that says that the stream is open.
	open *regexp.Regexp
	// webSockets is "false" for SPDY.
	webSockets string
}

// streamKinds are the streams that people leave open.
func streamKinds(port string) []stream {
	kinds := []stream{
		{name: "watch", args: []string{"get", "configmaps", "--watch"}, open: regexp.MustCompile(`kube-root-ca`)},
		{name: "logs -f", args: []string{"logs", "-f", streamPod}, open: regexp.MustCompile(`^hello`)},
	}
	for _, protocol := range []struct{ name, webSockets string }{{"WebSocket", "true"}, {"SPDY", "false"}} {
		kinds = append(kinds,
			stream{
				name: "exec, " + protocol.name, webSockets: protocol.webSockets,
				args: []string{"exec", streamPod, "--", "sh", "-c", "echo open; exec sleep 300"}, open: regexp.MustCompile(`^open`),
			},
			stream{
				name: "port-forward, " + protocol.name, webSockets: protocol.webSockets,
				args: []string{"port-forward", "--address=127.0.0.1", "pod/" + streamPod, ":" + port}, open: forwarding,
			})
	}
	return kinds
}

var forwarding = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) `)

// session is a stream under way.
type session struct {
	stream
	cmd    *exec.Cmd
	opened chan struct{}
	ended  chan struct{}
	at     time.Time

	lock  sync.Mutex
	shown bytes.Buffer
}

// startSession runs kubectl with the kubeconfig in dir, which is its home as well.
func startSession(ctx context.Context, kubectl, dir, namespace string, kind stream) (*session, error) {
	s := &session{stream: kind, opened: make(chan struct{}), ended: make(chan struct{})}
	s.cmd = exec.CommandContext(ctx, kubectl, append([]string{
		"--kubeconfig=" + filepath.Join(dir, "kubeconfig"), "--namespace=" + namespace,
	}, kind.args...)...)
	s.cmd.Env = append(os.Environ(), "HOME="+dir, "KUBECACHEDIR="+filepath.Join(dir, "cache"),
		"KUBECTL_REMOTE_COMMAND_WEBSOCKETS="+kind.webSockets, "KUBECTL_PORT_FORWARD_WEBSOCKETS="+kind.webSockets)
	s.cmd.WaitDelay = 5 * time.Second
	output, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("kubectl %s: %w", kind.name, err)
	}
	// What is shown after the first line may be on either.
	s.cmd.Stderr = writerFunc(s.show)
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("kubectl %s: %w", kind.name, err)
	}
	go s.follow(ctx, output)
	return s, nil
}

func (s *session) follow(ctx context.Context, output io.Reader) {
	defer close(s.ended)
	lines := bufio.NewScanner(output)
	isOpen := false
	for lines.Scan() {
		line := lines.Text()
		match := s.open.FindStringSubmatch(line)
		if match == nil || isOpen {
			s.show([]byte(line + "\n"))
			continue
		}
		isOpen = true
		if len(match) == 2 {
			// A port that is forwarded shows nothing until a connection is there.
			if err := hold(ctx, match[1]); err != nil {
				s.show([]byte(err.Error() + "\n"))
			}
		}
		close(s.opened)
	}
	err := s.cmd.Wait()
	s.at = time.Now()
	s.show(fmt.Appendf(nil, "(kubectl ended: %v)\n", err))
}

func (s *session) show(text []byte) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.shown.Write(text)
}

func (s *session) text() string {
	s.lock.Lock()
	defer s.lock.Unlock()
	return strings.TrimSpace(s.shown.String())
}

// hold opens a connection through a forwarded port, sees that it carries, and leaves it open.
func hold(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "line\n"); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err = bufio.NewReader(conn).ReadString('\n')
	return err
}

// echo is what ports are forwarded to: it returns what it is sent.
func echo(env *chaos.Env) (port string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("echo: %w", err)
	}
	env.Defer(listener.Close)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	_, port, err = net.SplitHostPort(listener.Addr().String())
	return port, err
}

// runPod makes the pod of all streams.
func runPod(ctx context.Context, env *chaos.Env, namespace string) error {
	pods := env.Admin().CoreV1().Pods(namespace)
	_, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: streamPod},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("pod: %w", err)
	}
	_, err = chaos.Await(ctx, "the pod to run", time.Minute, func(ctx context.Context) bool {
		pod, err := pods.Get(ctx, streamPod, metav1.GetOptions{})
		return err == nil && pod.Status.Phase == corev1.PodRunning
	})
	return err
}

// kubectlHome writes a kubeconfig with a token into a directory of its own.
func kubectlHome(env *chaos.Env, agent *sandbox.Replica, name, token string) (string, error) {
	dir := filepath.Join(env.Dir, "kubectl-"+name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("kubectl's home: %w", err)
	}
	return dir, controlplane.WriteKubeconfig(filepath.Join(dir, "kubeconfig"), "endpoint", env.ClientConfig(agent, token))
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
