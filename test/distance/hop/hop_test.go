package hop

import (
	"io"
	"net"
	"strconv"
	"testing"
	"time"
)

// echo answers what it is sent, and ends when that ends.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

func open(t *testing.T, delay time.Duration) *net.TCPConn {
	t.Helper()
	path, err := Listen(echo(t), delay)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = path.Close() })
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(path.Port())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

// ask sends so many bytes and says how long they took to come back.
func ask(t *testing.T, conn *net.TCPConn, size int) time.Duration {
	t.Helper()
	began := time.Now()
	go func() { _, _ = conn.Write(make([]byte, size)) }()
	if _, err := io.ReadFull(conn, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestEachByteIsLate(t *testing.T) {
	const delay = 50 * time.Millisecond
	conn := open(t, delay)
	if took := ask(t, conn, 1); took < 4*delay {
		t.Errorf("handshake, question and answer took %s, want %s or more", took, 4*delay)
	}
	if took := ask(t, conn, 1); took < 2*delay || took > 8*delay {
		t.Errorf("question and answer took %s, want about %s", took, 2*delay)
	}
	// Many bytes are late together, not one after the other.
	if took := ask(t, conn, 100*chunkBytes); took < 2*delay || took > 50*delay {
		t.Errorf("100 chunks took %s, want about %s", took, 2*delay)
	}
}

func TestEndArrives(t *testing.T) {
	conn := open(t, time.Millisecond)
	if _, err := conn.Write([]byte("last")); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || string(answer) != "last" {
		t.Errorf("got %q and %v, want everything and the end", answer, err)
	}
}

func TestCloseEndsConnections(t *testing.T) {
	path, err := Listen(echo(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(path.Port())))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := path.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("read %d bytes of a path that is closed", n)
	}
}
