package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestExplain(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/silent" {
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	good := x509.NewCertPool()
	good.AddCert(server.Certificate())
	at := func(now time.Time) *tls.Config {
		return &tls.Config{RootCAs: good, Time: func() time.Time { return now }}
	}
	tests := []struct {
		name     string
		url      string
		config   *tls.Config
		wantKind Kind
		wantText string
	}{
		{"unknown authority", server.URL, &tls.Config{RootCAs: x509.NewCertPool()}, KindUnknownCA, "unknown authority"},
		{"another host", server.URL, &tls.Config{RootCAs: good, ServerName: "eu.example.org"}, KindWrongHost, "example.com, *.example.com, 127.0.0.1, ::1"},
		{"the certificate has ended", server.URL, at(server.Certificate().NotAfter.Add(time.Hour)), KindExpired, "if the clock is wrong"},
		{"the certificate has not begun", server.URL, at(server.Certificate().NotBefore.Add(-time.Hour)), KindExpired, "if the clock is wrong"},
		{"no TLS", "https://" + strings.TrimPrefix(plain.URL, "http://"), &tls.Config{}, KindNoTLS, "does not speak TLS"},
		{"no listener", "https://127.0.0.1:1", &tls.Config{}, KindRefused, "connection refused"},
		{"cut off", server.URL, &tls.Config{RootCAs: good}, KindRefused, "cut"},
		{"silent", server.URL + "/silent", &tls.Config{RootCAs: good}, KindTimeout, "no answer in time"},
		{"something else", "https://127.0.0.1:99999", &tls.Config{}, KindUnclassified, "invalid port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := &http.Client{Timeout: 300 * time.Millisecond, Transport: &http.Transport{TLSClientConfig: tt.config}}
			response, err := client.Get(tt.url)
			if err == nil {
				_ = response.Body.Close()
				t.Fatal("the request was answered")
			}
			kind, text := Explain(err)
			if kind != tt.wantKind || !strings.Contains(text, tt.wantText) {
				t.Errorf("got %q: %q, want %q with %q", kind, text, tt.wantKind, tt.wantText)
			}
			if strings.Contains(text, tt.url) {
				t.Errorf("%q repeats the URL", text)
			}
		})
	}
}

func TestExplainNames(t *testing.T) {
	kind, text := Explain(fmt.Errorf("get: %w", &net.DNSError{Name: "eu.example.com", IsNotFound: true}))
	if kind != KindName || text != "no such host: eu.example.com" {
		t.Errorf("got %q: %q", kind, text)
	}
	if kind, _ := Explain(context.DeadlineExceeded); kind != KindTimeout {
		t.Errorf("a deadline is %q", kind)
	}
}

func TestSkew(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		date string
		want string
	}{
		{"the same", "Fri, 01 May 2026 12:00:00 GMT", ""},
		{"a minute is allowed", "Fri, 01 May 2026 12:01:00 GMT", ""},
		{"behind", "Fri, 01 May 2026 12:10:00 GMT", "the clock of this machine is 10m0s behind the server's: set it"},
		{"ahead", "Fri, 01 May 2026 11:50:00 GMT", "the clock of this machine is 10m0s ahead of the server's: set it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			skew, found := Skew(http.Header{"Date": {tt.date}}, now)
			if got := SkewText(skew); got != tt.want || !found {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if _, found := Skew(http.Header{}, now); found {
		t.Error("a server that says nothing has a clock")
	}
}
