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

// takenBack is how long a request that its client took back may still be answered.
const takenBack = time.Second

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

	// lock guards turn, which counts the requests that used the connection, and late, which is set
	// where a deadline was put on the connection.
	lock sync.Mutex
	turn int
	late bool
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

// endWith ends what waits for the connection when ctx is done: at once where its time was up. A
// request that its client took back may be answered for a moment, since a connection in the middle
// of an answer is lost, and another costs a TLS handshake: who takes requests back by the thousand
// would have us and the API server do nothing else.
func (c *conn) endWith(ctx context.Context) (stop func() bool) {
	turn := c.turn
	return context.AfterFunc(ctx, func() {
		deadline := time.Unix(1, 0)
		if errors.Is(context.Cause(ctx), context.Canceled) {
			deadline = time.Now().Add(takenBack)
		}
		c.lock.Lock()
		defer c.lock.Unlock()
		if c.turn == turn {
			c.setDeadline(deadline)
		}
	})
}

// interrupt ends what waits for the connection at deadline.
func (c *conn) interrupt(deadline time.Time) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.setDeadline(deadline)
}

// setDeadline needs the lock.
func (c *conn) setDeadline(deadline time.Time) {
	c.late = true
	_ = c.SetDeadline(deadline)
}

// release ends the connection's turn: no context of before ends anything on it.
func (c *conn) release() error {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.turn++
	if !c.late {
		return nil
	}
	c.late = false
	return c.SetDeadline(time.Time{})
}

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
	closed bool
}

// get returns a kept connection or a new one.
func (p *pool) get(ctx context.Context) (*conn, error) {
	for {
		kept := p.pop()
		if kept == nil {
			return p.open(ctx)
		}
		if kept.alive() {
			return kept, nil
		}
		kept.close()
	}
}

// open makes a connection. As with answers, one that is nearly there is not given up, but kept.
func (p *pool) open(ctx context.Context) (*conn, error) {
	dialing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if !errors.Is(context.Cause(ctx), context.Canceled) {
			cancel()
			return
		}
		timer := time.AfterFunc(takenBack, cancel)
		context.AfterFunc(dialing, func() { timer.Stop() })
	})()
	c, err := p.dial(dialing)
	if err == nil && ctx.Err() != nil {
		p.put(c)
		return nil, ctx.Err()
	}
	return c, err
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
	if p.closed || len(p.idle) >= idleConnections {
		c.close()
		return
	}
	p.idle = append(p.idle, c)
	p.schedule(c.idleSince)
}

// reap closes the connections that nobody has used for idleTimeout, and those beyond a few that
// nobody has used for spareTimeout. They are the first of the list, since the last is taken first.
func (p *pool) reap() {
	p.lock.Lock()
	defer p.lock.Unlock()
	now := time.Now()
	old := 0
	for old < len(p.idle) && !now.Before(p.due(old)) {
		p.idle[old].close()
		old++
	}
	p.idle = slices.Delete(p.idle, 0, old)
	p.reaper = nil
	p.schedule(now)
}

// due is when the connection at i is to be closed, where those before it are.
func (p *pool) due(i int) time.Time {
	if len(p.idle)-i > fewConnections {
		return p.idle[i].idleSince.Add(spareTimeout)
	}
	return p.idle[i].idleSince.Add(idleTimeout)
}

// schedule needs the lock. It sees to it that the reaper comes in time.
func (p *pool) schedule(now time.Time) {
	if p.reaper == nil && len(p.idle) > 0 {
		p.reaper = time.AfterFunc(max(0, min(p.due(0).Sub(now), spareTimeout)), p.reap)
	}
}

// close closes what is idle, and what comes back from then on.
func (p *pool) close() {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.closed = true
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
	if p.reaper != nil {
		p.reaper.Stop()
		p.reaper = nil
	}
}
