package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// smallBody is the largest request body, in bytes, that is held while its request is sent. Nearly
// every object fits; what is larger takes the general transport.
const smallBody = 64 << 10

// shortRest is how much of an answer that nobody wants any more is read, in bytes, to keep its connection.
const shortRest = 64 << 10

// shortTransport carries short requests over kept HTTP/1.1 connections on the goroutine that
// serves them. net/http's transport hands each request to one goroutine and its answer to another;
// those wake-ups cost more than everything else that is done with a small request. What is not
// small and simple is left to it.
type shortTransport struct {
	general *http.Transport
	pool    pool
}

// RoundTrip implements http.RoundTripper.
func (t *shortTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !simple(req) {
		return t.general.RoundTrip(req)
	}
	ctx := req.Context()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	body, err := readBody(req)
	if err != nil {
		return nil, err
	}
	defer body.release()
	for {
		conn, err := t.pool.get(ctx)
		if err != nil {
			return nil, errors.Join(err, ctx.Err())
		}
		res, err := t.try(conn, req, body.bytes())
		if err == nil {
			return res, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !conn.mayRetry(req.Method) {
			return nil, err
		}
	}
}

// CloseIdleConnections closes what is not in use, and keeps nothing from then on.
func (t *shortTransport) CloseIdleConnections() {
	t.pool.close()
	t.general.CloseIdleConnections()
}

// try sends req over conn and reads the head of the answer. The connection belongs to the answer's
// body then; where try fails it is closed, unless the request was taken back and answered all the same.
func (t *shortTransport) try(conn *conn, req *http.Request, body []byte) (*http.Response, error) {
	ctx := req.Context()
	stop := conn.endWith(ctx)
	res, err := conn.exchange(req, body)
	if err != nil {
		stop()
		conn.close()
		return nil, err
	}
	answer := &shortBody{ReadCloser: res.Body, ctx: ctx, pool: &t.pool, conn: conn, stop: stop, keep: !res.Close}
	switch {
	case res.Body == http.NoBody:
		answer.end(true)
	case ctx.Err() != nil:
		_ = answer.Close()
	default:
		res.Body = answer
	}
	return res, ctx.Err()
}

// simple says whether the body of req is small, and its length known beforehand.
func simple(req *http.Request) bool {
	if req.Body == nil || req.Body == http.NoBody {
		return true
	}
	return req.ContentLength >= 0 && req.ContentLength <= smallBody && req.Header.Get("Expect") == ""
}

// heldBody is a request's body in a borrowed buffer. The zero value is empty.
type heldBody struct{ buffer *bytes.Buffer }

var heldBodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func readBody(req *http.Request) (heldBody, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return heldBody{}, nil
	}
	body := heldBody{heldBodies.Get().(*bytes.Buffer)}
	// One byte more than was announced would be noticed; the server's own reader sees to it.
	_, err := io.CopyN(body.buffer, req.Body, req.ContentLength)
	if err = errors.Join(err, req.Body.Close()); err != nil {
		body.release()
		return heldBody{}, fmt.Errorf("%w: %w", errRequestBody, err)
	}
	return body, nil
}

func (b heldBody) bytes() []byte {
	if b.buffer == nil {
		return nil
	}
	return b.buffer.Bytes()
}

func (b heldBody) release() {
	if b.buffer != nil {
		b.buffer.Reset()
		heldBodies.Put(b.buffer)
	}
}

// shortBody gives the connection back when the answer has been read to its end, and closes it
// where that does not happen.
type shortBody struct {
	io.ReadCloser
	ctx  context.Context
	pool *pool
	conn *conn
	stop func() bool
	keep bool
}

// Read implements io.Reader.
func (b *shortBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	whole := errors.Is(err, io.EOF)
	b.end(whole)
	if !whole && b.ctx.Err() != nil {
		err = b.ctx.Err()
	}
	return n, err
}

// Close implements io.Closer.
func (b *shortBody) Close() error {
	b.end(b.conn != nil && b.rest())
	return nil
}

// rest reads what is there of a short rest, and says whether that was all.
func (b *shortBody) rest() bool {
	if b.ctx.Err() == nil {
		b.conn.interrupt(time.Unix(1, 0)) // nobody waits for what has not come yet
	}
	_, err := io.CopyN(io.Discard, b.ReadCloser, shortRest)
	return errors.Is(err, io.EOF)
}

// end lets go of the connection, once. whole says whether nothing of the answer is left on it.
func (b *shortBody) end(whole bool) {
	conn := b.conn
	if conn == nil {
		return
	}
	b.conn = nil
	b.stop()
	if whole && b.keep && conn.release() == nil {
		b.pool.put(conn)
		return
	}
	conn.close()
}
