package netfault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// get asks url as config says, for at most patience.
func get(t *testing.T, url string, config *tls.Config, patience time.Duration) error {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: config}}).Do(r)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatal("the server answered")
	}
	return err
}

func TestOf(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	trusting := func() *tls.Config { return &tls.Config{RootCAs: roots} }
	misnamed, late := trusting(), trusting()
	misnamed.ServerName = "other.invalid"
	late.Time = func() time.Time { return time.Now().AddDate(200, 0, 0) }
	closed := httptest.NewTLSServer(nil)
	closed.Close()
	// Accepts connections in the kernel, and never answers.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	hangUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(hangUp.Close)

	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"authority", get(t, secure.URL, nil, time.Minute), CertificateUnknownAuthority},
		{"name", get(t, secure.URL, misnamed, time.Minute), CertificateNameMismatch},
		{"expired", get(t, secure.URL, late, time.Minute), CertificateExpired},
		{"no TLS", get(t, "https"+plain.URL[len("http"):], nil, time.Minute), TLSFailure},
		{"refused", get(t, closed.URL, nil, time.Minute), ConnectionRefused},
		{"silent", get(t, "https://"+silent.Addr().String(), nil, 50*time.Millisecond), Timeout},
		{"closed", get(t, hangUp.URL, nil, time.Minute), Unreachable},
		{"no such host", &net.DNSError{IsNotFound: true, Name: "eu.invalid"}, DNSFailure},
		{"name server does not answer", &net.DNSError{IsTimeout: true, Name: "eu.invalid"}, DNSFailure},
		{"API server", apierrors.NewForbidden(corev1.Resource("namespaces"), "kube-system", errors.New("no rule")), "Forbidden"},
		{"something else", errors.New("strange"), Unreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reason, message := Of(tt.err)
			if reason != tt.want || message == "" {
				t.Errorf("reason %q, message %q of %v, want %q", reason, message, tt.err, tt.want)
			}
		})
	}
}

// TestSameFaultReadsTheSame looks for what differs from one connection to the next.
func TestSameFaultReadsTheSame(t *testing.T) {
	hangUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(hangUp.Close)
	first, second := get(t, hangUp.URL, nil, time.Minute), get(t, hangUp.URL, nil, time.Minute)
	_, one := Of(first)
	if _, two := Of(second); one != two {
		t.Errorf("%q and %q for one fault", one, two)
	}
}
