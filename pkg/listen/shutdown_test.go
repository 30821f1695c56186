package listen

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// outerServer serves handler on a loopback port of its own.
func outerServer(t *testing.T, s *Shutdown, handler http.HandlerFunc) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &Server{
		Name: "test", Handler: s.Drain.Handler(handler), Timeout: time.Minute, Listener: NewListenerFor(listener, 10, nil),
	}
	if err := server.Start(t.Context(), func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// TestShutdownOrder follows clients through all steps: a connection is kept, then moved with an
// answer, a late request answered, the streams ended.
func TestShutdownOrder(t *testing.T) {
	s := NewShutdown(100*time.Millisecond, time.Minute, 0)
	server := outerServer(t, s, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/watch" {
			_ = http.NewResponseController(w).Flush()
			<-s.streams
		}
	})
	address := server.Listener.Addr().String()
	watch, err := http.Get("http://" + address + "/watch")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watch.Body.Close() }()
	moved, late := dialOuter(t, address), dialOuter(t, address)
	if moved.get().Close {
		t.Fatal("a connection was not kept before the shutdown")
	}
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run([]*Server{server}) }()
	for !moved.get().Close {
	}
	<-s.streams
	for {
		c, err := net.Dial("tcp", address)
		if err != nil {
			break
		}
		_ = c.Close()
	}
	if !late.get().Close {
		t.Error("the late answer does not say that its connection closes")
	}
	if _, err := io.Copy(io.Discard, watch.Body); err != nil {
		t.Errorf("the stream ended with %v, want a clean end", err)
	}
	<-ended
}

// outerConn is a client's connection.
type outerConn struct {
	t *testing.T
	net.Conn
	reader *bufio.Reader
}

func dialOuter(t *testing.T, address string) outerConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return outerConn{t, c, bufio.NewReader(c)}
}

// get asks on this connection and no other.
func (c outerConn) get() *http.Response {
	c.t.Helper()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
	res, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.t.Fatalf("request on an open connection: %v", err)
	}
	_ = res.Body.Close()
	return res
}

func TestShutdownOfOuterListenersIsBounded(t *testing.T) {
	s := NewShutdown(0, 50*time.Millisecond, 0)
	entered := make(chan struct{})
	server := outerServer(t, s, func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	go func() { _, _ = http.Get("http://" + server.Listener.Addr().String()) }()
	<-entered
	s.Run([]*Server{server}) // hangs where it is not
}

func TestAwaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewShutdown(time.Second, time.Minute, 0)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began, ended, want := time.Now(), make(chan error, 1), errors.New("ended")
		if err := s.Await(ctx, ended, func() { ended <- want }); !errors.Is(err, want) {
			t.Errorf("error %v, want the server's", err)
		}
		cut := false
		if err := s.Await(ctx, ended, func() { cut = true }); err == nil || !cut {
			t.Errorf("error %v, connections cut: %t; want both", err, cut)
		}
		if took := time.Since(began); took > 2*s.Bound() {
			t.Errorf("two shutdowns took %s, the bound of one is %s", took, s.Bound())
		}
	})
}
