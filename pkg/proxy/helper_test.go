package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"

	"loft.sh/agent/pkg/statuserr"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// alice is a person with all four parts of an identity.
var alice = &user.DefaultInfo{
	Name: "loft:user:alice", UID: "42", Groups: []string{"dev", "loft:authenticated"},
	Extra: map[string][]string{"example.com/scope": {"a"}},
}

// noLeak fails the test where a goroutine is left when everything else was cleaned up. Call it first.
func noLeak(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		if eventually(func() bool { return runtime.NumGoroutine() <= before }) {
			return
		}
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
	})
}

// eventually waits for a condition of the runtime, which nothing announces.
func eventually(condition func() bool) bool {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
	return true
}

// await fails the test where nothing comes from c.
func await[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// forwarderTo connects to the API server of config and hangs up when the test ends.
func forwarderTo(t *testing.T, config *rest.Config) *Forwarder {
	t.Helper()
	upstream, err := NewUpstream(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, lane := range upstream.lanes {
			lane.(interface{ CloseIdleConnections() }).CloseIdleConnections()
		}
	})
	scheme := apiruntime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	return New(upstream, statuserr.NewWriter(serializer.NewCodecFactory(scheme)))
}

// newDoor serves every request by a call that is call with the request's own URL.
func newDoor(t *testing.T, f *Forwarder, call Call) *httptest.Server {
	t.Helper()
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mine := call
		mine.URL = r.URL
		f.Forward(w, r, mine)
	}))
	t.Cleanup(door.Close)
	return door
}

// newAPIServer serves handler over TLS with HTTP/2 and HTTP/1.1.
func newAPIServer(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *rest.Config) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, configFor(server, server.URL)
}

func configFor(server *httptest.Server, url string) *rest.Config {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &rest.Config{Host: url, BearerToken: "agent-token", TLSClientConfig: rest.TLSClientConfig{CAData: ca}}
}

// recorder is an API server that keeps the bytes of each request's head and answers all alike.
type recorder struct {
	address string
	config  *rest.Config
	// heads holds the head of each request; closed tells of each connection that was closed
	// by the other side.
	heads  chan string
	closed chan struct{}
}

func newRecorder(t *testing.T, answer string) *recorder {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: certified.TLS.Certificates, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	address := listener.Addr().String()
	rec := &recorder{
		address: address, config: configFor(certified, "https://"+address),
		heads: make(chan string, 100), closed: make(chan struct{}, 100),
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go rec.serve(conn, answer)
		}
	}()
	return rec
}

func (rec *recorder) serve(conn net.Conn, answer string) {
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	for {
		head, err := readHead(reader)
		if err != nil {
			rec.closed <- struct{}{}
			return
		}
		rec.heads <- head
		if _, err := io.WriteString(conn, answer); err != nil {
			return
		}
	}
}

// readHead reads up to and without the empty line.
func readHead(reader *bufio.Reader) (string, error) {
	var head strings.Builder
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == "\r\n" {
			return head.String(), nil
		}
		head.WriteString(line)
	}
}

// rawClient is a client that sends what it likes.
type rawClient struct {
	net.Conn
	reader *bufio.Reader
}

func dialRaw(t *testing.T, server *httptest.Server) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &rawClient{Conn: conn, reader: bufio.NewReader(conn)}
}

// send writes lines as one request head, and what follows them, and returns the answer.
func (c *rawClient) send(t *testing.T, lines []string, body string) *http.Response {
	t.Helper()
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")+"\r\n\r\n"+body); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		t.Fatalf("read the answer: %v", err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// closedByServer fails where the server keeps the connection.
func (c *rawClient) closedByServer(t *testing.T) {
	t.Helper()
	if rest, err := io.ReadAll(c.reader); err != nil || len(rest) > 0 {
		t.Errorf("after the answer: %q, %v; want the end of the connection", rest, err)
	}
}

// get asks the door for path and returns the answer, whose body the caller reads.
func get(t *testing.T, door *httptest.Server, path string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, door.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := door.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// wantStatus fails where the answer is not a metav1.Status with code and reason.
func wantStatus(t *testing.T, res *http.Response, code int, reason metav1.StatusReason) metav1.Status {
	t.Helper()
	var status metav1.Status
	body, _ := io.ReadAll(res.Body)
	if err := json.Unmarshal(body, &status); err != nil {
		t.Fatalf("answer %d %q is no Status: %v", res.StatusCode, body, err)
	}
	if res.StatusCode != code || status.Code != int32(code) || status.Reason != reason ||
		status.Kind != "Status" || status.APIVersion != "v1" || status.Message == "" {
		t.Errorf("answer %d %s; want a Status %d %s", res.StatusCode, body, code, reason)
	}
	return status
}
