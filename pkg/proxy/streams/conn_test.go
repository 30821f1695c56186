package streams

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// execHead is the head of the answer that switched to WebSocket.
var execHead = http.Header{"Upgrade": {"websocket"}, "Sec-Websocket-Protocol": {"v5.channel.k8s.io"}}

// told is what the client of an exec is told at the end.
func told(end *End) []byte {
	frames, _ := protocolOf(Exec, execHead).end(end)
	return frames
}

// newConn returns a conn of an exec over WebSocket and the client's end of it.
func newConn(t *testing.T, s Settings) (c *conn, client net.Conn, cancelled <-chan struct{}) {
	t.Helper()
	server, client := net.Pipe()
	t.Cleanup(func() { _, _ = server.Close(), client.Close() })
	if err := client.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, 10)
	s.Kind = Exec
	return start(server, nil, execHead, s, func() { done <- struct{}{} }), client, done
}

// receive reads as many bytes as want has, which must be them.
func receive(t *testing.T, client net.Conn, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(client, got); err != nil {
		t.Fatalf("after %q: %v", got, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// send writes from the API server's side, and does not wait.
func send(c *conn, p []byte) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := c.Write(p)
		done <- err
	}()
	return done
}

func TestSilentConnectionIsPinged(t *testing.T) {
	c, client, _ := newConn(t, Settings{PingPeriod: 5 * time.Millisecond})
	frame := webSocketFrame(opBinary, 1, 'x')
	sent := send(c, frame)
	receive(t, client, frame)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	receive(t, client, webSocketFrame(opPing))
	receive(t, client, webSocketFrame(opPing))
}

func TestEndWaitsForTheEndOfAFrame(t *testing.T) {
	c, client, cancelled := newConn(t, Settings{})
	frame := webSocketFrame(opBinary, 1, 'x', 'y')
	sent := send(c, frame[:3])
	receive(t, client, frame[:3])
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	c.end(revoked)
	sent = send(c, frame[3:4])
	receive(t, client, frame[3:4])
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	rest := send(c, append(bytes.Clone(frame[4:]), frame...)) // the second is never sent
	receive(t, client, append(bytes.Clone(frame[4:]), told(revoked)...))
	if err := <-rest; err == nil {
		t.Error("the reverse proxy goes on writing")
	}
	<-cancelled
}

func TestFrameThatIsNotCompletedEndsWithoutAWord(t *testing.T) {
	c, client, cancelled := newConn(t, Settings{})
	sent := send(c, []byte{fin | opBinary, 5, 1})
	receive(t, client, []byte{fin | opBinary, 5, 1})
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	c.end(revoked)
	select {
	case <-cancelled:
	case <-time.After(patience):
		t.Fatal("the API server's side is kept")
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("written after the end")
	}
}

func TestIdleConnectionIsEndedWhatPingsThereAre(t *testing.T) {
	const timeout = 30 * time.Millisecond
	c, client, cancelled := newConn(t, Settings{IdleTimeout: timeout})
	ping := webSocketFrame(opPing)
	sent := send(c, ping)
	receive(t, client, ping)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	receive(t, client, told(idleEnd(timeout)))
	<-cancelled
}

func TestPortForwardIsLeftToItsClient(t *testing.T) {
	server, client := net.Pipe()
	defer func() { _ = client.Close() }()
	cancelled := make(chan struct{}, 1)
	c := start(server, nil, http.Header{"Upgrade": {"SPDY/3.1"}}, Settings{Kind: PortForward}, func() { cancelled <- struct{}{} })
	go func() { _, _ = client.Write(opens(t, "error", "data")) }()
	for c.protocol.(*spdyProtocol).opened.say(nil) == nil || len(c.protocol.(*spdyProtocol).opened.data) == 0 {
		if _, err := c.Read(make([]byte, 64)); err != nil {
			t.Fatal(err)
		}
	}
	go c.end(revoked)
	receive(t, client, append(dataFrame(1, []byte(revoked.Message)), dataFrame(3, nil)...))
	<-cancelled
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	// It is not closed before the client had time to show what it was told, and then with a word.
	receive(t, client, goAwayFrame())
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
