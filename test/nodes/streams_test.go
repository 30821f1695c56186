package nodes_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
)

// onTerminal runs a command on a terminal of 37 lines and 91 columns, types "word" once the
// command has said something, and returns all that the terminal shows.
func (c *cluster) onTerminal(t *testing.T, command ...string) string {
	t.Helper()
	url := c.client.CoreV1().RESTClient().Post().Namespace("default").Resource("pods").Name("web").
		SubResource("exec").VersionedParams(&corev1.PodExecOptions{
		Container: "main", Command: command, Stdin: true, Stdout: true, TTY: true,
	}, scheme.ParameterCodec).URL()
	executor, err := remotecommand.NewWebSocketExecutor(c.RESTConfig(), http.MethodGet, url.String())
	if err != nil {
		t.Fatal(err)
	}
	screen := &screen{said: make(chan struct{})}
	err = executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{
		Stdin: &typist{after: screen.said, text: strings.NewReader("word\n")}, Stdout: screen,
		Tty: true, TerminalSizeQueue: &size{},
	})
	if err != nil {
		t.Fatalf("%v, after %q", err, &screen.shown)
	}
	return screen.shown.String()
}

// firstLine starts the command and returns what the pattern's group holds in the first line
// that matches. The command runs on until the test ends.
func firstLine(t *testing.T, cmd *exec.Cmd, pattern *regexp.Regexp) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if match := pattern.FindStringSubmatch(lines.Text()); match != nil {
			return match[1]
		}
	}
	_ = cmd.Wait()
	t.Fatalf("%v: no line matches %s\n%s", cmd.Args, pattern, &stderr)
	return ""
}

// noCertificate shows that another user of the machine cannot run commands.
func noCertificate(t *testing.T, c *cluster) {
	node, err := c.client.CoreV1().Nodes().Get(t.Context(), "node-1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	httpClient := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	response, err := httpClient.Get(fmt.Sprintf("https://127.0.0.1:%d/containerLogs/default/web/main",
		node.Status.DaemonEndpoints.KubeletEndpoint.Port))
	if err == nil {
		_ = response.Body.Close()
		t.Fatalf("kubelet answered %s to a stranger", response.Status)
	}
	if !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("kubelet refused with %v, want a certificate to be required", err)
	}
}

// screen closes said at the first output.
type screen struct {
	shown bytes.Buffer
	said  chan struct{}
}

func (s *screen) Write(p []byte) (int, error) {
	if s.shown.Len() == 0 {
		close(s.said)
	}
	return s.shown.Write(p)
}

// typist types after something was said.
type typist struct {
	after <-chan struct{}
	text  *strings.Reader
}

func (i *typist) Read(p []byte) (int, error) {
	<-i.after
	return i.text.Read(p)
}

// size is one size, once.
type size struct{ given bool }

func (s *size) Next() *remotecommand.TerminalSize {
	if s.given {
		return nil
	}
	s.given = true
	return &remotecommand.TerminalSize{Width: 91, Height: 37}
}
