package hostile

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// limit of headers in bytes at the servers of these tests.
const headerLimit = 128 << 10

// serve starts a server over TLS and a plain one with handler, and a target for both.
func serve(t *testing.T, handler http.HandlerFunc) Target {
	t.Helper()
	secure, insecure := httptest.NewUnstartedServer(handler), httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	for _, s := range []*httptest.Server{secure, insecure} {
		s.Config.ReadHeaderTimeout, s.Config.IdleTimeout = time.Second, time.Second
		s.Config.MaxHeaderBytes = headerLimit
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
	}
	secure.StartTLS()
	insecure.Start()
	t.Cleanup(secure.Close)
	t.Cleanup(insecure.Close)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	return Target{
		Address: secure.Listener.Addr().String(), Plain: insecure.Listener.Addr().String(), Roots: roots, Token: "token",
	}
}

// stream writes size bytes in pieces and ends with its client, or counts down ended before.
func stream(size int, ended chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended <- struct{}{} }()
		piece := make([]byte, 1<<10)
		control := http.NewResponseController(w)
		for range size / len(piece) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
		_ = control.Flush()
		<-r.Context().Done()
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestSilence shows that a silent client takes nothing, not even the end of the connection, and that
// the server does not learn of it.
func TestSilence(t *testing.T) {
	more := make(chan struct{})
	ended := make(chan struct{}, 2)
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended <- struct{}{} }()
		_ = http.NewResponseController(w).Flush()
		<-more
		_, _ = io.WriteString(w, "an event")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	ctx := within(t, 20*time.Second)
	for _, protocol := range []string{HTTP1, HTTP2} {
		crowd, err := target.Watches(ctx, protocol, "/watch", 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := crowd.Silence(); err != nil {
			t.Fatal(err)
		}
		more <- struct{}{}
		// Over HTTP/2 the library reads, and takes a deadline for the end.
		if protocol == HTTP1 {
			_ = crowd[0].raw.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
			if n, err := crowd[0].raw.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read %d bytes, %v; want silence", n, err)
			}
		}
		select {
		case <-ended:
			t.Errorf("%s: the server noticed", protocol)
		default:
		}
		crowd.Abort()
		select {
		case <-ended:
		case <-ctx.Done():
			t.Errorf("%s: the server does not notice a reset", protocol)
		}
	}
}

func TestKill(t *testing.T) {
	ended := make(chan struct{}, 4)
	target := serve(t, stream(1<<10, ended))
	ctx := within(t, 20*time.Second)
	for _, protocol := range []string{HTTP1, HTTP2} {
		crowd, err := target.Watches(ctx, protocol, "/watch", 2)
		if err != nil {
			t.Fatal(err)
		}
		crowd.Kill()
	}
	for i := range 4 {
		select {
		case <-ended:
		case <-ctx.Done():
			t.Fatalf("the server noticed %d of 4 ends", i)
		}
	}
}

func TestWatchRefused(t *testing.T) {
	target := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not you", http.StatusForbidden) })
	for _, protocol := range []string{HTTP1, HTTP2} {
		_, err := target.Watches(within(t, 20*time.Second), protocol, "/watch", 3)
		if err == nil || !strings.Contains(err.Error(), "not you") {
			t.Errorf("%s: error %v, want the server's refusal", protocol, err)
		}
	}
}

func TestSlowReaders(t *testing.T) {
	var written atomic.Int64
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			n, err := w.Write(make([]byte, 1<<10))
			if written.Add(int64(n)); err != nil {
				return
			}
		}
	})
	ctx, cancel := context.WithCancel(within(t, 20*time.Second))
	const readers = 4
	slow := target.SlowReaders(ctx, "/list", readers, 1<<10)
	before := int64(-1)
	for ; written.Load() != before && ctx.Err() == nil; pause(ctx, 400*time.Millisecond) {
		before = written.Load()
	}
	if reading := slow.Reading.Load(); reading != readers || written.Load() == 0 {
		t.Errorf("%d of %d read slowly, %d bytes written", reading, readers, written.Load())
	}
	cancel()
	slow.Wait()
	if refused, ended := slow.Refused.Load(), slow.Ended.Load(); refused != 0 || ended != 0 {
		t.Errorf("%d refused, %d ended by the server; want none", refused, ended)
	}
}

func TestBeginAndWait(t *testing.T) {
	target := serve(t, http.NotFound)
	const patience = 4 * time.Second
	for _, c := range target.BeginAndWait(within(t, 20*time.Second), 2*len(HalfSayings()), patience) {
		// The library's server bounds the wait for a preface by nothing but its own 10 s.
		unbounded := strings.HasSuffix(c.Name, "HTTP/2 offered, nothing said")
		if c.Count != 2 || c.Unopened != 0 || (c.Open > 0) != unbounded {
			t.Errorf("%s; want 2, all begun, and ended by the server: %t", c, !unbounded)
		}
	}
}

func TestFlood(t *testing.T) {
	target := serve(t, http.NotFound)
	r, err := target.Flood(within(t, 30*time.Second), "/x", 3000, 2)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent.Load() < 3000 || r.Connections.Load() < 2 {
		t.Errorf("%s; want 3000 resets on 2 connections at least", r)
	}
}

func TestAsk(t *testing.T) {
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	large, most := strings.Repeat("h", 1<<20), strings.Repeat("h", 100<<10)
	for _, tc := range []struct {
		huge Huge
		want int
	}{
		{Huge{Name: "nothing huge", Protocol: HTTP1}, 200},
		{Huge{Name: "nothing huge", Protocol: HTTP2}, 200},
		{Huge{Name: "large token", Protocol: HTTP1, Token: most}, 401},
		{Huge{Name: "large token", Protocol: HTTP2, Token: most}, 401},
		{Huge{Name: "huge header", Protocol: HTTP1, Header: large}, 431},
		{Huge{Name: "huge header", Protocol: HTTP2, Header: large}, 0},
		{Huge{Name: "huge token", Protocol: HTTP1, Token: large}, 431},
		{Huge{Name: "endless header", Protocol: HTTP2, Endless: 8 << 20}, 0},
	} {
		got, err := target.Ask(within(t, 20*time.Second), "/x", tc.huge)
		if err != nil || got != tc.want {
			t.Errorf("%s over %s: %d, %v; want %d", tc.huge.Name, tc.huge.Protocol, got, err, tc.want)
		}
	}
}

// TestExec answers an upgrade by hand: an empty first frame, then the command's word.
func TestExec(t *testing.T) {
	asked := make(chan url.Values, 1)
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query()
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func(c net.Conn) { _ = c.Close() }(conn)
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"+
			"\x82\x01\x01"+"\x82\x06\x01here\n")
		_, _ = io.Copy(io.Discard, conn)
	})
	crowd, err := target.Execs(within(t, 20*time.Second), "space", "pod", 1)
	if err != nil {
		t.Fatal(err)
	}
	crowd.Kill()
	if query := <-asked; query.Get("stdin") != "true" || query.Get("stdout") != "true" {
		t.Errorf("asked for %v", query)
	}
}
