package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// silent is a server that takes connections and says nothing, or ends each where end is set.
func silent(t *testing.T, end bool) string {
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
			if end {
				_ = conn.Close()
				continue
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return listener.Addr().String()
}

func TestFailuresOfARealConnectionAreTold(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	needsCertificate := httptest.NewUnstartedServer(http.NotFoundHandler())
	needsCertificate.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	needsCertificate.StartTLS()
	t.Cleanup(needsCertificate.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()

	for _, tc := range []struct {
		name, url string
		insecure  bool
		want      Failure
	}{
		{"nobody listens", gone.URL, true, FailureDial},
		{"no such host", "https://host.invalid", true, FailureDial},
		{"certificate of nobody we trust", server.URL, false, FailureTLS},
		{"no TLS there", strings.Replace(plain.URL, "http:", "https:", 1), true, FailureTLS},
		{"our certificate is refused", needsCertificate.URL, true, FailureTLS},
		{"silence", "http://" + silent(t, false), true, FailureTimeout},
		{"silence in the handshake", "https://" + silent(t, false), true, FailureTimeout},
		{"ends before the answer", "http://" + silent(t, true), true, FailureReset},
	} {
		t.Run(tc.name, func(t *testing.T) {
			timeout := patience
			if tc.want == FailureTimeout {
				timeout = 100 * time.Millisecond
			}
			client := &http.Client{Transport: &http.Transport{
				TLSClientConfig:     &tls.Config{InsecureSkipVerify: tc.insecure},
				TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout,
			}}
			t.Cleanup(client.CloseIdleConnections)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tc.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(req)
			if err == nil {
				_ = res.Body.Close()
				t.Fatal("there was an answer")
			}
			if got := failureOf(err); got != tc.want {
				t.Errorf("%v is %q, want %q", err, got, tc.want)
			}
		})
	}
}

func TestFailuresAreOfTheListThatIsPublished(t *testing.T) {
	for err, want := range map[error]Failure{
		errCredential: FailureCredential, errOtherProtocol: FailureProtocol, errors.New("x"): FailureOther,
	} {
		if got := failureOf(err); got != want || !slices.Contains(Failures(), got) {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
}
