package listen

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestDrainMovesClients(t *testing.T) {
	var drain Drain
	handler := drain.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.RemoteAddr+" "+r.Proto)
	}))
	for _, tc := range []struct {
		name  string
		http2 bool
		proto string
	}{
		{name: "HTTP/1.1", proto: "HTTP/1.1"},
		{name: "HTTP/2", http2: true, proto: "HTTP/2.0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			drain.begun.Store(false)
			s := start(t, handler, true, nil)
			client := s.client(t, tc.http2)
			_, first := get(t, client, s.url())
			if _, again := get(t, client, s.url()); again != first || !strings.HasSuffix(again, tc.proto) {
				t.Fatalf("before the drain the connection was not kept: %q, then %q", first, again)
			}
			drain.Begin()
			if _, last := get(t, client, s.url()); last != first {
				t.Errorf("the first request of the drain came from %q, want the connection of before %q", last, first)
			}
			// The client learns of it by a frame of its own on HTTP/2.
			await(t, "another connection", func() bool {
				_, other := get(t, client, s.url())
				return other != first
			})
		})
	}
}

func TestDrainLeavesUpgradesAlone(t *testing.T) {
	var drain Drain
	drain.Begin()
	s := start(t, drain.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.WriteHeader(http.StatusSwitchingProtocols)
	})), false, nil)
	req, err := http.NewRequest(http.MethodGet, s.url(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Connection", "Upgrade")
	res, err := s.client(t, false).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if got := res.Header["Connection"]; len(got) != 1 || got[0] != "Upgrade" {
		t.Errorf("Connection: %q, want Upgrade alone", got)
	}
}

func TestShutdownWaits(t *testing.T) {
	entered, leave := make(chan struct{}, 2), make(chan struct{})
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
		}
		entered <- struct{}{}
		<-leave
	}), false, nil)
	request := s.dial(t)
	_, _ = io.WriteString(request, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	stream := s.dial(t)
	_, _ = io.WriteString(stream, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(t.Context()) }()
	await(t, "listener closed", func() bool {
		c, err := (&netDialer).Dial("tcp", s.Listener.Addr().String())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	select {
	case err := <-ended:
		t.Fatalf("shutdown did not wait for what was in flight (error %v)", err)
	default:
	}
	close(leave)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(request), nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("the request in flight: %v, %v", res, err)
	}
}

func TestShutdownIsBounded(t *testing.T) {
	entered := make(chan struct{})
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}), false, nil)
	request := s.dial(t)
	_, _ = io.WriteString(request, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want one that says that time was up", err)
	}
	awaitClosed(t, request)
	await(t, "no connection", func() bool { return s.Listener.Open() == 0 })
}

// endless writes until it cannot.
func endless(ended chan<- error, control func(*http.ResponseController)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		control(http.NewResponseController(w))
		chunk := make([]byte, 64<<10)
		for {
			if _, err := w.Write(chunk); err != nil {
				ended <- err
				return
			}
		}
	})
}

func TestSlowReaderIsCut(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[http2], func(t *testing.T) {
			ended := make(chan error, 1)
			s := start(t, endless(ended, func(*http.ResponseController) {}), true,
				func(s *Server) { s.Timeout = 100*time.Millisecond - writeGrace })
			res, err := s.client(t, http2).Get(s.url())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			select {
			case err := <-ended:
				if err == nil {
					t.Error("the handler wrote all to a client that does not read")
				}
			case <-time.After(testTimeout):
				t.Error("the handler is still writing to a client that does not read")
			}
		})
	}
}

func TestLongRunningIsNotCut(t *testing.T) {
	const timeout = 50 * time.Millisecond
	for _, http2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[http2], func(t *testing.T) {
			s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				control := http.NewResponseController(w)
				_ = control.SetReadDeadline(time.Time{})
				_ = control.SetWriteDeadline(time.Time{})
				_ = control.Flush()
				select {
				case <-time.After(4 * timeout):
				case <-r.Context().Done():
				}
				_, _ = io.WriteString(w, "event")
			}), true, func(s *Server) { s.Timeout = timeout - writeGrace })
			if _, body := get(t, s.client(t, http2), s.url()); body != "event" {
				t.Errorf("the watch read %q, want its event", body)
			}
		})
	}
}

func TestHeaderTooLarge(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[http2], func(t *testing.T) {
			s := start(t, http.NotFoundHandler(), true, nil)
			req, err := http.NewRequest(http.MethodGet, s.url(), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 1<<20))
			res, err := s.client(t, http2).Do(req)
			if err != nil {
				// The server may close before the client has sent all of it.
				return
			}
			defer func() { _ = res.Body.Close() }()
			if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("code %d, want 431", res.StatusCode)
			}
		})
	}
}
