package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"
)

// errRequestBody means that the client's body could not be read to its announced end.
var errRequestBody = errors.New("read the request body")

// informational bounds the answers of class 1xx before the one that counts.
const informational = 5

// conn is one HTTP/1.1 connection to an API server, used by one request at a time.
type conn struct {
	net.Conn
	// socket is the connection below TLS, by which a close is noticed; nil: it cannot be.
	socket syscall.RawConn
	reader *bufio.Reader
	writer *bufio.Writer
	// used is set once a request has been answered over it.
	used bool
	// answered is set when the first byte of the current answer has come.
	answered  bool
	idleSince time.Time
}

func newConn(c, socket net.Conn) *conn {
	kept := &conn{Conn: c, reader: bufio.NewReaderSize(c, 16<<10), writer: bufio.NewWriterSize(c, 4<<10)}
	if s, ok := socket.(syscall.Conn); ok {
		kept.socket, _ = s.SyscallConn()
	}
	return kept
}

// exchange sends req with body and reads the head of the answer.
func (c *conn) exchange(req *http.Request, body []byte) (*http.Response, error) {
	c.answered = false
	sent := *req
	sent.Body = http.NoBody
	if len(body) > 0 {
		sent.Body = io.NopCloser(bytes.NewReader(body))
	}
	if err := errors.Join(sent.Write(c.writer), c.writer.Flush()); err != nil {
		return nil, fmt.Errorf("send the request: %w", err)
	}
	for range informational {
		if _, err := c.reader.Peek(1); err != nil {
			return nil, fmt.Errorf("wait for the answer: %w", err)
		}
		c.answered = true
		res, err := http.ReadResponse(c.reader, req)
		if err != nil {
			return nil, fmt.Errorf("read the answer: %w", err)
		}
		switch {
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, errOtherProtocol
		case res.StatusCode >= http.StatusOK:
			c.used = true
			return res, nil
		}
	}
	return nil, errors.New("read the answer: nothing but informational answers")
}

// mayRetry says whether a request that failed before anything was answered can be sent again: the
// API server may have closed a kept connection just when it was used, and asking for something
// twice does no harm (RFC 9110, section 9.2.2). Whether a change was made nobody knows then.
func (c *conn) mayRetry(method string) bool {
	if !c.used || c.answered {
		return false
	}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return true
	}
	return false
}

// interrupt ends whatever waits for the connection.
func (c *conn) interrupt() { _ = c.SetDeadline(time.Unix(1, 0)) }

func (c *conn) close() { _ = c.Close() }

// alive says whether the other side has neither closed a kept connection nor said anything on it.
func (c *conn) alive() bool {
	if c.reader.Buffered() > 0 {
		return false
	}
	return c.socket == nil || nothingToRead(c.socket)
}

// pool keeps connections that are not in use, the one used last on top.
type pool struct {
	dial func(context.Context) (*conn, error)

	lock sync.Mutex
	idle []*conn
	// reaper closes what has been idle for long; nil while nothing is kept.
	reaper *time.Timer
}

// get returns a kept connection or a new one.
func (p *pool) get(ctx context.Context) (*conn, error) {
	for {
		kept := p.pop()
		if kept == nil {
			return p.dial(ctx)
		}
		if kept.alive() {
			return kept, nil
		}
		kept.close()
	}
}

func (p *pool) pop() *conn {
	p.lock.Lock()
	defer p.lock.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	last := len(p.idle) - 1
	kept := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return kept
}

// put keeps a connection for the next request.
func (p *pool) put(c *conn) {
	c.idleSince = time.Now()
	p.lock.Lock()
	defer p.lock.Unlock()
	if len(p.idle) >= idleConnections {
		c.close()
		return
	}
	p.idle = append(p.idle, c)
	if p.reaper == nil {
		p.reaper = time.AfterFunc(idleTimeout, p.reap)
	}
}

// reap closes the connections that nobody has used for idleTimeout. They are the first of the
// list, since the last is taken first.
func (p *pool) reap() {
	p.lock.Lock()
	defer p.lock.Unlock()
	now := time.Now()
	kept := slices.IndexFunc(p.idle, func(c *conn) bool { return now.Sub(c.idleSince) < idleTimeout })
	if kept < 0 {
		kept = len(p.idle)
	}
	for _, c := range p.idle[:kept] {
		c.close()
	}
	p.idle = slices.Delete(p.idle, 0, kept)
	p.reaper = nil
	if len(p.idle) > 0 {
		p.reaper = time.AfterFunc(idleTimeout-now.Sub(p.idle[0].idleSince), p.reap)
	}
}

func (p *pool) closeIdle() {
	p.lock.Lock()
	defer p.lock.Unlock()
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
	if p.reaper != nil {
		p.reaper.Stop()
		p.reaper = nil
	}
}
