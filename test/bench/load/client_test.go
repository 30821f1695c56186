package load

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// serve runs a server of both protocols that tells what it was asked, and counts its connections.
func serve(t *testing.T, handler http.HandlerFunc) (server *httptest.Server, connections *atomic.Int64) {
	t.Helper()
	connections = &atomic.Int64{}
	server = httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, connections
}

func newClient(t *testing.T, server *httptest.Server, protocol Protocol) *Client {
	t.Helper()
	pool := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	c, err := NewClient(server.URL+"/prefix", protocol, &tls.Config{RootCAs: pool}, "secret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestClientSpeaksOneProtocol(t *testing.T) {
	tests := []struct {
		protocol        Protocol
		wantProto       string
		wantConnections int64
	}{
		{HTTP1, "HTTP/1.1", 4},
		{HTTP2, "HTTP/2.0", 1},
	}
	for _, tt := range tests {
		t.Run(string(tt.protocol), func(t *testing.T) {
			const workers = 4
			arrived := make(chan struct{}, workers)
			release := make(chan struct{})
			server, connections := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/prefix/first" {
					return
				}
				if r.Proto != tt.wantProto {
					t.Errorf("got %s, want %s", r.Proto, tt.wantProto)
				}
				arrived <- struct{}{}
				<-release
			})
			c := newClient(t, server, tt.protocol)
			if _, err := c.Do(t.Context(), http.MethodGet, "/first", nil); err != nil {
				t.Fatal(err)
			}
			go func() {
				for range workers {
					<-arrived
				}
				close(release)
			}()
			_, err := Loop{Concurrency: workers, MinOps: workers, Op: func(ctx context.Context, _ int) error {
				_, err := c.Do(ctx, http.MethodGet, "/x", nil)
				return err
			}}.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := connections.Load(); got != tt.wantConnections {
				t.Errorf("got %d connections, want %d", got, tt.wantConnections)
			}
		})
	}
}

func TestClientSendsWhatIsSaid(t *testing.T) {
	server, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for what, got := range map[string][2]string{
			"method": {r.Method, "PATCH"}, "URI": {r.RequestURI, "/prefix/a?b=c%3Dd"}, "body": {string(body), "{}"},
			"token": {r.Header.Get("Authorization"), "Bearer secret"}, "encoding": {r.Header.Get("Accept-Encoding"), ""},
			"type": {r.Header.Get("Content-Type"), "application/merge-patch+json"},
		} {
			if got[0] != got[1] {
				t.Errorf("%s: got %q, want %q", what, got[0], got[1])
			}
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	})
	n, err := newClient(t, server, HTTP2).Do(t.Context(), http.MethodPatch, "/a?b=c%3Dd", []byte("{}"))
	if err != nil || n != 1<<20 {
		t.Errorf("got %d bytes, %v; want %d", n, err, 1<<20)
	}
}

func TestClientReportsRefusals(t *testing.T) {
	server, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too many requests", http.StatusTooManyRequests)
	})
	_, err := newClient(t, server, HTTP1).Do(t.Context(), http.MethodGet, "/x", nil)
	if err == nil || !strings.Contains(err.Error(), "429") || !strings.Contains(err.Error(), "too many requests") {
		t.Errorf("got error %v, want one with status and answer", err)
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("the error has the token: %v", err)
	}
}
