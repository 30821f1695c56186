package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// connections counts the connections that a server accepts, and remembers them.
type connections struct {
	lock sync.Mutex
	all  []net.Conn
}

func (c *connections) state(conn net.Conn, state http.ConnState) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if state == http.StateNew {
		c.all = append(c.all, conn)
	}
}

func (c *connections) count() int {
	c.lock.Lock()
	defer c.lock.Unlock()
	return len(c.all)
}

// hangUp closes every connection from the server's side.
func (c *connections) hangUp() {
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, conn := range c.all {
		_ = conn.Close()
	}
}

// newCounted is an API server whose connections are counted.
func newCounted(t *testing.T, handler http.HandlerFunc) (*connections, *Forwarder) {
	t.Helper()
	counted := &connections{}
	server := httptest.NewUnstartedServer(handler)
	server.Config.ConnState = counted.state
	server.StartTLS()
	t.Cleanup(server.Close)
	return counted, forwarderTo(t, configFor(server, server.URL))
}

func repeat(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, _ = w.Write(append([]byte(r.Method+" "), body...))
}

// ask sends a request to door and returns the answer's code and body.
func ask(t *testing.T, door *httptest.Server, method, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, door.URL+"/api", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

func TestShortRequestsShareAConnection(t *testing.T) {
	noLeak(t)
	counted, f := newCounted(t, repeat)
	door := newDoor(t, f, Call{User: alice})
	for _, tc := range []struct{ method, body, want string }{
		{http.MethodGet, "", "GET "},
		{http.MethodPost, "{}", "POST {}"},
		{http.MethodDelete, "", "DELETE "},
		{http.MethodPut, strings.Repeat("x", smallBody), "PUT " + strings.Repeat("x", smallBody)},
		{http.MethodHead, "", ""},
		{http.MethodGet, "", "GET "},
	} {
		if code, got := ask(t, door, tc.method, tc.body); code != http.StatusOK || got != tc.want {
			t.Errorf("%s: %d, %d bytes; want 200, %d bytes", tc.method, code, len(got), len(tc.want))
		}
	}
	if got := counted.count(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
}

func TestLargeBodyIsNotHeld(t *testing.T) {
	noLeak(t)
	counted, f := newCounted(t, repeat)
	door := newDoor(t, f, Call{User: alice})
	body := strings.Repeat("x", smallBody+1)
	if code, got := ask(t, door, http.MethodPost, body); code != http.StatusOK || got != "POST "+body {
		t.Errorf("%d, %d bytes", code, len(got))
	}
	if _, got := ask(t, door, http.MethodGet, ""); got != "GET " {
		t.Errorf("%q after a large body", got)
	}
	// One connection of each transport.
	if got := counted.count(); got != 2 {
		t.Errorf("%d connections, want 2", got)
	}
}

func TestConnectionThatTheServerClosedIsNotUsed(t *testing.T) {
	noLeak(t)
	counted, f := newCounted(t, repeat)
	door := newDoor(t, f, Call{User: alice})
	for range 3 {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if code, got := ask(t, door, method, ""); code != http.StatusOK || got != method+" " {
				t.Fatalf("%s after a close: %d %q", method, code, got)
			}
			counted.hangUp()
		}
	}
	if got := counted.count(); got != 6 {
		t.Errorf("%d connections, want one a request", got)
	}
}

func TestOnlyAQuestionIsAskedAgain(t *testing.T) {
	for method, want := range map[string]int{http.MethodGet: http.StatusOK, http.MethodPost: http.StatusServiceUnavailable} {
		t.Run(method, func(t *testing.T) {
			noLeak(t)
			var requests int
			_, f := newCounted(t, func(w http.ResponseWriter, r *http.Request) {
				if requests++; requests == 2 {
					panic(http.ErrAbortHandler) // read, and then hung up
				}
				repeat(w, r)
			})
			door := newDoor(t, f, Call{User: alice})
			if code, _ := ask(t, door, method, ""); code != http.StatusOK {
				t.Fatalf("first answer: %d", code)
			}
			code, body := ask(t, door, method, "")
			if code != want {
				t.Errorf("%d %s; want %d", code, body, want)
			}
			if code == http.StatusServiceUnavailable && !strings.Contains(body, string(metav1.StatusReasonServiceUnavailable)) {
				t.Errorf("body %q is no status", body)
			}
		})
	}
}

func TestAnswerThatClosesIsNotFollowedByAnother(t *testing.T) {
	noLeak(t)
	counted, f := newCounted(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		repeat(w, r)
	})
	door := newDoor(t, f, Call{User: alice})
	for range 3 {
		if code, _ := ask(t, door, http.MethodGet, ""); code != http.StatusOK {
			t.Errorf("answer: %d", code)
		}
	}
	if got := counted.count(); got != 3 {
		t.Errorf("%d connections, want 3", got)
	}
}

func TestIdleConnectionsAreReaped(t *testing.T) {
	now := time.Now()
	old, fresh := newPair(t), newPair(t)
	old.idleSince, fresh.idleSince = now.Add(-idleTimeout), now
	p := &pool{idle: []*conn{old, fresh}}
	p.reap()
	if len(p.idle) != 1 || p.idle[0] != fresh {
		t.Errorf("kept %d connections, want the fresh one alone", len(p.idle))
	}
	if _, err := old.Write([]byte("x")); err == nil {
		t.Error("the old connection is open")
	}
	if p.reaper == nil {
		t.Error("nothing will reap the fresh one")
	}
	p.close()
}

func newPair(t *testing.T) *conn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = theirs.Close() })
	return newConn(ours, ours)
}

// get asks server for path through the lane of short requests.
func (f *Forwarder) get(ctx context.Context, server, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server+path, nil)
	if err != nil {
		return nil, err
	}
	return f.upstream.lanes[Short].RoundTrip(req)
}

func TestTakingRequestsBackCostsNoConnections(t *testing.T) {
	noLeak(t)
	arrived, answer := make(chan struct{}), make(chan struct{})
	counted, f := newCounted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-answer
		}
		repeat(w, r)
	})
	server := f.upstream.base.String()
	for range 10 {
		ctx, takeBack := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := f.get(ctx, server, "/slow")
			ended <- err
		}()
		await(t, arrived, "the request")
		takeBack()
		answer <- struct{}{}
		if err := await(t, ended, "its end"); !errors.Is(err, context.Canceled) {
			t.Fatalf("error %v, want that it was taken back", err)
		}
	}
	// A context that ended late must end nothing that comes after it.
	res, err := f.get(t.Context(), server, "/quick")
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(res.Body); string(body) != "GET " || err != nil {
		t.Errorf("%q, %v", body, err)
	}
	if got := counted.count(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
}

func TestRequestTakenBackWaitsAMoment(t *testing.T) {
	noLeak(t)
	arrived, ended := make(chan struct{}), make(chan error)
	_, f := newCounted(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done() // the API server is told, too
	})
	ctx, takeBack := context.WithCancel(t.Context())
	go func() {
		_, err := f.get(ctx, f.upstream.base.String(), "/")
		ended <- err
	}()
	await(t, arrived, "the request")
	takeBack()
	if err := await(t, ended, "its end"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was taken back", err)
	}
}

func TestRequestThatIsLateEndsAtOnce(t *testing.T) {
	noLeak(t)
	_, f := newCounted(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := f.get(ctx, f.upstream.base.String(), "/")
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took >= takenBack {
		t.Errorf("error %v after %s", err, took)
	}
}

func TestAnswerThatNobodyReads(t *testing.T) {
	for _, tc := range []struct {
		name string
		size int
		want int
	}{
		{name: "short", size: 8 << 10, want: 1},
		{name: "long", size: 8 << 20, want: 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			noLeak(t)
			counted, f := newCounted(t, func(w http.ResponseWriter, _ *http.Request) {
				// Without it the end of the answer would come a moment later.
				w.Header().Set("Content-Length", strconv.Itoa(tc.size))
				_, _ = w.Write(make([]byte, tc.size))
			})
			for range 2 {
				res, err := f.get(t.Context(), f.upstream.base.String(), "/")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.CopyN(io.Discard, res.Body, 1); err != nil {
					t.Fatal(err)
				}
				// The rest of a short answer comes with its first byte, or a moment later.
				body := res.Body.(*shortBody)
				if tc.want == 1 && !eventually(func() bool { _, err := body.conn.reader.Peek(tc.size - 1); return err == nil }) {
					t.Fatal("the answer did not come")
				}
				if err := res.Body.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if got := counted.count(); got != tc.want {
				t.Errorf("%d connections, want %d", got, tc.want)
			}
		})
	}
}

func TestSpareConnectionsAreReapedSoon(t *testing.T) {
	now := time.Now()
	p := &pool{}
	for range 2 * fewConnections {
		c := newPair(t)
		c.idleSince = now.Add(-spareTimeout)
		p.idle = append(p.idle, c)
	}
	spare := p.idle[0]
	p.reap()
	if len(p.idle) != fewConnections {
		t.Errorf("kept %d connections, want %d", len(p.idle), fewConnections)
	}
	if _, err := spare.Write([]byte("x")); err == nil {
		t.Error("a spare connection is open")
	}
	if p.reaper == nil {
		t.Error("nothing will reap the others")
	}
	p.close()
}
