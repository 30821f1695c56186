package load

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Client returns an HTTP client that speaks HTTP/2 or HTTP/1.1 alone, with connections of its own.
func Client(config *tls.Config, http2 bool) *http.Client {
	t := &http.Transport{TLSClientConfig: config.Clone(), MaxIdleConnsPerHost: 1024, TLSHandshakeTimeout: 30 * time.Second}
	t.Protocols = new(http.Protocols)
	if t.Protocols.SetHTTP1(!http2); http2 {
		t.Protocols.SetHTTP2(true)
		t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second}
	}
	return &http.Client{Transport: t}
}

// Clients returns count clients that speak HTTP/2, a connection each.
func Clients(config *tls.Config, count int) []*http.Client {
	clients := make([]*http.Client, count)
	for i := range clients {
		clients[i] = Client(config, true)
	}
	return clients
}

// Fresh returns an HTTP client that opens a connection for each request.
func Fresh(config *tls.Config) *http.Client {
	c := Client(config, false)
	c.Transport.(*http.Transport).DisableKeepAlives = true
	return c
}

// Answer to one request.
type Answer struct {
	// Code is 0 where there was no answer, and Err says why.
	Code       int
	RetryAfter string
	// Body is the beginning of an answer that is no success.
	Body string
	Err  error
}

// OK says whether the request succeeded.
func (a Answer) OK() bool { return a.Err == nil && a.Code/100 == 2 }

func (a Answer) String() string {
	if a.Err != nil {
		return a.Err.Error()
	}
	return fmt.Sprintf("%d %s", a.Code, a.Body)
}

// Do is one request.
type Do func(ctx context.Context) Answer

// Request returns the request of method on url with a bearer token; body may be empty.
func Request(client *http.Client, method, url, token, body string) Do {
	return func(ctx context.Context) Answer {
		req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
		if err != nil {
			return Answer{Err: err}
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		res, err := client.Do(req)
		if err != nil {
			return Answer{Err: err}
		}
		defer func() { _ = res.Body.Close() }()
		a := Answer{Code: res.StatusCode, RetryAfter: res.Header.Get("Retry-After")}
		if !a.OK() {
			beginning, _ := io.ReadAll(io.LimitReader(res.Body, 512))
			a.Body = strings.TrimSpace(string(beginning))
		}
		_, a.Err = io.Copy(io.Discard, res.Body)
		return a
	}
}

// Get returns the request for url.
func Get(client *http.Client, url, token string) Do {
	return Request(client, http.MethodGet, url, token, "")
}
