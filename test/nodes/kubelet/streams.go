package kubelet

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// The kubelet's own values.
const (
	commandParam    = "command"
	idleTimeout     = 4 * time.Hour
	creationTimeout = remotecommand.DefaultStreamCreationTimeout
)

var (
	_ remotecommand.Executor    = target{}
	_ remotecommand.Attacher    = target{}
	_ portforward.PortForwarder = target{}
)

// AttachContainer says "attached" and then returns what it is sent, until stdin ends or
// the client goes away.
func (t target) AttachContainer(ctx context.Context, _, _, _ string, in io.Reader, out, _ io.WriteCloser,
	_ bool, _ <-chan remotecommand.TerminalSize) error {
	if out == nil { // only stderr was asked for, which never says anything
		out = discard{}
	}
	if _, err := io.WriteString(out, "attached\n"); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	if in == nil {
		<-ctx.Done()
		return nil
	}
	if _, err := io.Copy(out, in); err != nil && ctx.Err() == nil {
		return fmt.Errorf("echo stdin: %w", err)
	}
	return nil
}

// PortForward joins the stream with a port of this machine's loopback interface.
func (t target) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	var dialer net.Dialer
	dialed, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return fmt.Errorf("forward to port %d of pod %q: %w", port, t.pod.Name, err)
	}
	defer dialed.Close()
	defer context.AfterFunc(ctx, func() { _ = dialed.Close() })()
	go func() {
		_, _ = io.Copy(dialed, stream)
		_ = dialed.(*net.TCPConn).CloseWrite() // the answer may still be on its way
	}()
	if _, err := io.Copy(stream, dialed); err != nil && ctx.Err() == nil {
		return fmt.Errorf("forward from port %d of pod %q: %w", port, t.pod.Name, err)
	}
	return nil
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
