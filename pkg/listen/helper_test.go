package listen

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	certutil "k8s.io/client-go/util/cert"
)

// testTimeout is how long a test waits for what should happen at once.
const testTimeout = 20 * time.Second

// started is a server under test.
type started struct {
	*Server
	roots *x509.CertPool
}

// start serves handler over TLS where secure is set.
func start(t *testing.T, handler http.Handler, secure bool, change func(*Server)) *started {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &started{Server: &Server{
		Name: "test", Handler: handler, Timeout: time.Minute, Listener: NewListenerFor(inner, 100, nil),
	}}
	if secure {
		cert, key, err := certutil.GenerateSelfSignedCertKey("localhost", []net.IP{{127, 0, 0, 1}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		content, err := dynamiccertificates.NewStaticCertKeyContent("test", cert, key)
		if err != nil {
			t.Fatal(err)
		}
		s.Secure = &genericserver.SecureServingInfo{Listener: inner, Cert: content}
		s.roots = x509.NewCertPool()
		s.roots.AppendCertsFromPEM(cert)
	}
	if change != nil {
		change(s.Server)
	}
	if err := s.Start(t.Context(), func(err error) { t.Errorf("serving ended: %v", err) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// client speaks HTTP/2 where http2 is set, and otherwise HTTP/1.1.
func (s *started) client(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}, Protocols: &protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: testTimeout}
}

func (s *started) url() string {
	if s.Secure != nil {
		return "https://" + s.Listener.Addr().String()
	}
	return "http://" + s.Listener.Addr().String()
}

// get returns the answer's body.
func get(t *testing.T, client *http.Client, url string) (*http.Response, string) {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// dial opens a connection that says nothing.
func (s *started) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// awaitClosed waits until the server has closed c.
func awaitClosed(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(testTimeout)); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, c)
	var failure net.Error
	if errors.As(err, &failure) && failure.Timeout() {
		t.Fatal("the server keeps the connection")
	}
}

// await waits until condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, testTimeout, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("%s: not within %s", what, testTimeout)
	}
}
