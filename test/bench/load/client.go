package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Protocol is what a client speaks.
type Protocol string

// The protocols.
const (
	HTTP1 Protocol = "http1"
	HTTP2 Protocol = "http2"
)

// bufferSize is what a worker reads at once, in bytes.
const bufferSize = 256 << 10

// Client asks one server. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	transport *http.Transport
	header    http.Header
	buffers   sync.Pool
}

// NewClient makes a client of the server at base that speaks protocol alone. A token that is not
// empty is sent as a bearer token.
func NewClient(base string, protocol Protocol, config *tls.Config, token string) (*Client, error) {
	address, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", base, err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(protocol == HTTP1)
	protocols.SetHTTP2(protocol == HTTP2)
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {"bench"}}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return &Client{
		base: address,
		transport: &http.Transport{
			TLSClientConfig: config.Clone(), Protocols: &protocols, DisableCompression: true,
			MaxIdleConnsPerHost: 4096, IdleConnTimeout: 10 * time.Minute,
			WriteBufferSize: 64 << 10, ReadBufferSize: 64 << 10,
		},
		header:  header,
		buffers: sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }},
	}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Open sends a request and returns the answer's body, which the caller closes. An answer other than
// 2xx is an error that holds the begin of the answer.
func (c *Client) Open(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	u := *c.base
	relative, err := url.Parse(path)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", path, err)
	}
	u.Path += relative.Path
	u.RawQuery = relative.RawQuery
	req := (&http.Request{Method: method, URL: &u, Host: u.Host, Header: c.header}).WithContext(ctx)
	if body != nil {
		req.Header = c.header.Clone()
		req.Header.Set("Content-Type", contentType(method))
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode/100 != 2 {
		answer, _ := io.ReadAll(io.LimitReader(res.Body, 500))
		_ = res.Body.Close()
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, res.Status, answer)
	}
	return res.Body, nil
}

func contentType(method string) string {
	if method == http.MethodPatch {
		return "application/merge-patch+json"
	}
	return "application/json"
}

// Do sends a request, reads the whole answer and returns its length in bytes.
func (c *Client) Do(ctx context.Context, method, path string, body []byte) (n int64, err error) {
	answer, err := c.Open(ctx, method, path, body)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Close() }()
	buffer := c.buffers.Get().(*[]byte)
	defer c.buffers.Put(buffer)
	for {
		got, err := answer.Read(*buffer)
		n += int64(got)
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, fmt.Errorf("%s %s: read the answer: %w", method, path, err)
		}
	}
}
