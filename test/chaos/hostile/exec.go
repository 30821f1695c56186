package hostile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// execAnswer bounds the wait for the first output of a command.
const execAnswer = time.Minute

// Execs opens count execs over WebSocket in a pod. Each runs a command that says something and
// then waits for its input; Execs returns when all have said it.
func (t Target) Execs(ctx context.Context, namespace, pod string, count int) (Crowd, error) {
	return gather(count, func() (*Conn, error) { return t.exec(ctx, namespace, pod) })
}

func (t Target) exec(ctx context.Context, namespace, pod string) (*Conn, error) {
	query := url.Values{"command": {"sh", "-c", "echo here; exec cat"}, "stdin": {"true"}, "stdout": {"true"}}
	req, err := t.request(ctx, fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/exec?%s", namespace, pod, query.Encode()))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
		"Sec-WebSocket-Key":      "dGhlIHNhbXBsZSBub25jZQ==", // the example of RFC 6455: any 16 bytes do
		"Sec-WebSocket-Protocol": "v5.channel.k8s.io",
	} {
		req.Header.Set(name, value)
	}
	conn, err := t.dial(ctx, HTTP1, 0)
	if err != nil {
		return nil, err
	}
	if err := start(conn, req); err != nil {
		conn.Abort()
		return nil, fmt.Errorf("exec in %s/%s: %w", namespace, pod, err)
	}
	return conn, nil
}

// start sends an upgrade and waits until the other side has said something.
func start(conn *Conn, upgrade *http.Request) error {
	if err := conn.SetDeadline(time.Now().Add(execAnswer)); err != nil {
		return err
	}
	if err := upgrade.Write(conn); err != nil {
		return err
	}
	buffer := bufio.NewReaderSize(conn, 512)
	res, err := http.ReadResponse(buffer, upgrade)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return refusal(res)
	}
	// The first frames of channel 1 are empty or hold the output; a close frame is not waited for.
	for {
		frame, payload, err := readFrame(buffer)
		switch {
		case err != nil:
			return err
		case frame == closeFrame:
			return errors.New("the stream was closed at once")
		case len(payload) > 1 && payload[0] == 1:
			return conn.SetDeadline(time.Time{})
		}
	}
}

// closeFrame is the opcode of a WebSocket's close frame.
const closeFrame = 8

// readFrame reads a short, unmasked WebSocket frame, as a server sends them.
func readFrame(r io.Reader) (opcode byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := int(head[1])
	if length > 125 {
		return 0, nil, fmt.Errorf("frame of length code %d: want a short one", length)
	}
	payload = make([]byte, length)
	_, err = io.ReadFull(r, payload)
	return head[0] & 0x0f, payload, err
}
