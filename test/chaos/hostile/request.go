package hostile

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/net/http2"
)

// request makes a request with the target's token for a path below its door.
func (t Target) request(ctx context.Context, path string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+t.Address+t.Prefix+path, nil)
	if err != nil {
		return nil, fmt.Errorf("request %q: %w", path, err)
	}
	if t.Token != "" {
		req.Header.Set("Authorization", "Bearer "+t.Token)
	}
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// open sends a GET of path on a connection of its own and returns the answer's head. The body is
// read from the connection as the caller reads, no faster.
func (t Target) open(ctx context.Context, protocol, path string, receiveBuffer int) (*Conn, *http.Response, error) {
	conn, err := t.dial(ctx, protocol, receiveBuffer)
	if err != nil {
		return nil, nil, err
	}
	res, err := t.send(ctx, conn, protocol, path)
	if err != nil {
		conn.Abort()
		return nil, nil, fmt.Errorf("GET %s over %s: %w", path, protocol, err)
	}
	return conn, res, nil
}

func (t Target) send(ctx context.Context, conn *Conn, protocol, path string) (*http.Response, error) {
	req, err := t.request(ctx, path)
	if err != nil {
		return nil, err
	}
	if protocol == HTTP2 {
		client, err := (&http2.Transport{DisableCompression: true}).NewClientConn(conn)
		if err != nil {
			return nil, fmt.Errorf("HTTP/2: %w", err)
		}
		return client.RoundTrip(req)
	}
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	buffer := bufio.NewReaderSize(conn, 512)
	for {
		res, err := http.ReadResponse(buffer, req)
		if err != nil || res.StatusCode >= http.StatusOK {
			return res, err
		}
	}
}

// refusal is what a server that does not answer 200 said.
func refusal(res *http.Response) error {
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 512))
	return fmt.Errorf("status %d: %s", res.StatusCode, text)
}
