package proxy

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var lanes = map[string]Lane{"short": Short, "stream": Stream}

func TestUpstreamDownIsServiceUnavailable(t *testing.T) {
	noLeak(t)
	server, config := newAPIServer(t, func(http.ResponseWriter, *http.Request) {})
	server.Close()
	for name, lane := range map[string]Lane{"short": Short, "stream": Stream, "upgrade": Upgrade} {
		t.Run(name, func(t *testing.T) {
			res := get(t, newDoor(t, forwarderTo(t, config), Call{User: alice, Lane: lane}), "/api")
			wantStatus(t, res, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)
			if got := res.Header.Get("Retry-After"); got != "1" {
				t.Errorf("Retry-After %q, want 1", got)
			}
		})
	}
}

func TestUpstreamThatHangsUpIsServiceUnavailable(t *testing.T) {
	noLeak(t)
	rec := newRecorder(t, "no HTTP\r\n\r\n")
	res := get(t, newDoor(t, forwarderTo(t, rec.config), Call{User: alice}), "/api")
	wantStatus(t, res, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)
}

func TestSilentUpstreamIsTimeoutAndLetGo(t *testing.T) {
	noLeak(t)
	ended := make(chan struct{}, 2)
	_, config := newAPIServer(t, func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		ended <- struct{}{}
	})
	f := forwarderTo(t, config)
	for name, lane := range lanes {
		t.Run(name, func(t *testing.T) {
			door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithTimeout(r.Context(), 50*time.Millisecond)
				defer cancel()
				f.Forward(w, r.WithContext(ctx), Call{User: alice, URL: r.URL, Lane: lane})
			}))
			t.Cleanup(door.Close)
			wantStatus(t, get(t, door, "/api"), http.StatusGatewayTimeout, metav1.StatusReasonTimeout)
			await(t, ended, "the end of the request at the API server")
		})
	}
}

func TestClientThatLeavesEndsTheUpstreamRequest(t *testing.T) {
	noLeak(t)
	begun, ended := make(chan struct{}, 2), make(chan struct{}, 2)
	_, config := newAPIServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/answered" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
		}
		begun <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	})
	f := forwarderTo(t, config)
	for name, lane := range lanes {
		for _, path := range []string{"/silent", "/answered"} {
			t.Run(name+path, func(t *testing.T) {
				client := dialRaw(t, newDoor(t, f, Call{User: alice, Lane: lane}))
				if _, err := io.WriteString(client, "GET "+path+" HTTP/1.1\r\nHost: e\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				await(t, begun, "the request at the API server")
				_ = client.Close()
				await(t, ended, "the end of the request at the API server")
			})
		}
	}
}

func TestRefusedUpgradeClosesBothConnections(t *testing.T) {
	noLeak(t)
	rec := newRecorder(t, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
	door := newDoor(t, forwarderTo(t, rec.config), Call{User: alice, Lane: Upgrade})
	client := dialRaw(t, door)
	// What follows would be a second request for whoever reads on.
	res := client.send(t, []string{"GET /exec HTTP/1.1", "Host: e", "Connection: Upgrade", "Upgrade: SPDY/3.1"},
		"GET /smuggled HTTP/1.1\r\nHost: e\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusForbidden || string(body) != "no" || !res.Close {
		t.Errorf("answer %s %q, close %v; want the API server's 403 and Connection: close", res.Status, body, res.Close)
	}
	client.closedByServer(t)
	await(t, rec.closed, "the end of the connection to the API server")
	await(t, rec.heads, "the request")
	if len(rec.heads) > 0 {
		t.Errorf("a second request arrived: %q", <-rec.heads)
	}
}

func TestUpgradeToAnotherProtocolClosesBothConnections(t *testing.T) {
	noLeak(t)
	rec := newRecorder(t, switched+"h2c\r\n\r\n")
	client := dialRaw(t, newDoor(t, forwarderTo(t, rec.config), Call{User: alice, Lane: Upgrade}))
	res := client.send(t, []string{"GET /exec HTTP/1.1", "Host: e", "Connection: Upgrade", "Upgrade: websocket"}, "")
	wantStatus(t, res, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)
	client.closedByServer(t)
	await(t, rec.closed, "the end of the connection to the API server")
}

func TestUpgradeCarriesBytesBothWays(t *testing.T) {
	noLeak(t)
	_, config := newAPIServer(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, switched+"SPDY/3.1\r\n\r\n")
		echo(conn, buffered.Reader)
	})
	client := dialRaw(t, newDoor(t, forwarderTo(t, config), Call{User: alice, Lane: Upgrade}))
	head := []string{"POST /exec HTTP/1.1", "Host: e", "Connection: Upgrade", "Upgrade: SPDY/3.1", "Content-Length: 0"}
	if res := client.send(t, head, ""); res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answer %s", res.Status)
	}
	for _, word := range []string{"one\n", "two\n"} {
		if _, err := io.WriteString(client, word); err != nil {
			t.Fatal(err)
		}
		if got, err := client.reader.ReadString('\n'); got != word || err != nil {
			t.Errorf("echo %q, %v; want %q", got, err, word)
		}
	}
}

func echo(conn net.Conn, reader *bufio.Reader) {
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, line)
	}
}

func TestWatchLinesArriveAtOnce(t *testing.T) {
	noLeak(t)
	more := make(chan struct{})
	_, config := newAPIServer(t, func(w http.ResponseWriter, r *http.Request) {
		for {
			_, _ = io.WriteString(w, "{}\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-more: // not before the client has read the line
			case <-r.Context().Done():
				return
			}
		}
	})
	res := get(t, newDoor(t, forwarderTo(t, config), Call{User: alice, Lane: Stream}), "/api/v1/pods?watch=1")
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(res.Body); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	for range 5 {
		if line := await(t, lines, "a line"); line != "{}" {
			t.Errorf("line %q", line)
		}
		more <- struct{}{}
	}
	await(t, lines, "the last line")
	_ = res.Body.Close()
	for range lines {
	}
}

// TestAnswerIsNotKept sends no more than a window ahead of the reader: who kept the answer would
// never see its end.
func TestAnswerIsNotKept(t *testing.T) {
	noLeak(t)
	const step = 8 << 20 // more than all sockets and windows on the way hold
	read := make(chan struct{})
	_, config := newAPIServer(t, func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, step)
		for range 4 {
			_, _ = w.Write(chunk)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-read:
			case <-r.Context().Done():
				return
			}
		}
	})
	f := forwarderTo(t, config)
	for name, lane := range lanes {
		t.Run(name, func(t *testing.T) {
			res := get(t, newDoor(t, f, Call{User: alice, Lane: lane}), "/api")
			for range 4 {
				// The last buffer of a step may wait for the next step.
				if _, err := io.CopyN(io.Discard, res.Body, step-shortBuffer); err != nil {
					t.Fatal(err)
				}
				read <- struct{}{}
			}
			if n, err := io.Copy(io.Discard, res.Body); n != 4*shortBuffer || err != nil {
				t.Errorf("the rest was %d bytes, %v; want %d", n, err, 4*shortBuffer)
			}
		})
	}
}

func TestLargeListCostsLittleMemory(t *testing.T) {
	noLeak(t)
	const size, allowed = 20 << 20, 4 << 20
	chunk := bytes.Repeat([]byte("x"), 64<<10)
	_, config := newAPIServer(t, func(w http.ResponseWriter, _ *http.Request) {
		for range size / len(chunk) {
			_, _ = w.Write(chunk)
		}
	})
	door := newDoor(t, forwarderTo(t, config), Call{User: alice})
	list := func() int64 {
		n, err := io.Copy(io.Discard, get(t, door, "/api/v1/pods").Body)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	list() // connections and pools are made once
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if n := list(); n != size {
		t.Errorf("%d bytes arrived, want %d", n, size)
	}
	runtime.ReadMemStats(&after)
	if spent := after.TotalAlloc - before.TotalAlloc; spent > allowed {
		t.Errorf("a list of %d bytes allocated %d bytes in client, proxy and server; want at most %d", size, spent, allowed)
	}
}

func TestRefusalOfTheAgentIsNotTheClients(t *testing.T) {
	for name, tc := range map[string]struct {
		message  string
		backend  bool
		wantCode int
	}{
		"of the client":        {`pods is forbidden: User "loft:user:alice" cannot list resource "pods"`, false, http.StatusForbidden},
		"of the agent":         {`users "loft:user:alice" is forbidden: User "agent" cannot impersonate resource "users"`, false, http.StatusServiceUnavailable},
		"of a proxied backend": {`User "agent" cannot impersonate`, true, http.StatusForbidden},
	} {
		for laneName, lane := range lanes {
			t.Run(name+" "+laneName, func(t *testing.T) {
				noLeak(t)
				_, config := newAPIServer(t, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(http.StatusForbidden)
					_, _ = io.WriteString(w, tc.message+strings.Repeat(".", 2*refusalLimit))
				})
				res := get(t, newDoor(t, forwarderTo(t, config), Call{User: alice, Lane: lane, Backend: tc.backend}), "/api")
				if res.StatusCode != tc.wantCode {
					t.Fatalf("code %d, want %d", res.StatusCode, tc.wantCode)
				}
				body, err := io.ReadAll(res.Body)
				if whole := len(body) == len(tc.message)+2*refusalLimit; err != nil || whole != (tc.wantCode == http.StatusForbidden) {
					t.Errorf("%d bytes, %v", len(body), err)
				}
			})
		}
	}
}
