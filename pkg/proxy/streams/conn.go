package streams

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// frameWait is how long an end waits for the API server to complete the frame that it is in.
	frameWait = time.Second
	// lingerTime is how long a client may take to close after it was told. Closed at once, with
	// bytes of the client unread, the connection would be reset and what it was told be lost.
	lingerTime = 2 * time.Second
)

// errEnded is what the reverse proxy gets that would write on.
var errEnded = errors.New("the stream was ended")

// conn is the client's side of an upgraded connection, as the reverse proxy sees it.
type conn struct {
	net.Conn
	buffered *bufio.Reader // what the client sent before the switch
	protocol protocol
	// cancel ends the forwarded request, and so the API server's side.
	cancel context.CancelFunc

	pingPeriod, idleTimeout time.Duration
	// lastWrite and lastData are when bytes went to the client, and when payload went either way.
	lastWrite, lastData atomic.Int64
	// begun is set when the reverse proxy begins to copy: the head of the answer is written then.
	begun atomic.Bool

	lock   sync.Mutex // one writer at a time
	timer  *time.Timer
	ending *End // waits for a place between two frames
	ended  bool // told, or given up; nothing is written any more
	// closes is set where the client, being told, closes the connection.
	closes bool
	closed bool
}

// start makes conn of a hijacked connection.
func start(raw net.Conn, buffered *bufio.Reader, h http.Header, s Settings, cancel context.CancelFunc) *conn {
	c := &conn{Conn: raw, buffered: buffered, protocol: protocolOf(s.Kind, h), cancel: cancel,
		pingPeriod: s.PingPeriod, idleTimeout: s.IdleTimeout}
	now := time.Now().UnixNano()
	c.lastWrite.Store(now)
	c.lastData.Store(now)
	c.lock.Lock()
	defer c.lock.Unlock()
	if wait, ok := c.nextTick(); ok {
		c.timer = time.AfterFunc(wait, c.tick)
	}
	return c
}

// Read passes on what the client sends. What comes after the end is of no interest to anybody.
func (c *conn) Read(p []byte) (int, error) {
	c.begun.Store(true)
	n, err := c.readAny(p)
	if n > 0 && c.protocol.fromClient(p[:n]) {
		c.lastData.Store(time.Now().UnixNano())
	}
	return n, err
}

func (c *conn) readAny(p []byte) (int, error) {
	if c.buffered != nil && c.buffered.Buffered() > 0 {
		return c.buffered.Read(p[:min(len(p), c.buffered.Buffered())])
	}
	return c.Conn.Read(p)
}

// Write passes on what the API server sends, up to where an end that waits can be told.
func (c *conn) Write(p []byte) (int, error) {
	c.begun.Store(true)
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.ended {
		return 0, errEnded
	}
	size := 0
	for size < len(p) {
		n, data := c.protocol.toClient(p[size:])
		size += n
		if data {
			c.lastData.Store(time.Now().UnixNano())
		}
		if c.ending != nil && c.between() {
			break
		}
	}
	n, err := c.write(p[:size])
	if err == nil && c.ending != nil && c.between() {
		c.tell()
		err = errEnded
	}
	return n, err
}

// between needs the lock; it says whether a frame of ours may be written.
func (c *conn) between() bool { return c.begun.Load() && c.protocol.between() }

// write needs the lock.
func (c *conn) write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.lastWrite.Store(time.Now().UnixNano())
	if err != nil {
		c.ended = true // who knows how much of the frame is there
	}
	return n, err
}

// CloseWrite passes the end of what the API server sends.
func (c *conn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errEnded
	}
	return half.CloseWrite()
}

// end tells the client why, as soon as a frame may be written, and closes then.
func (c *conn) end(end *End) {
	// A writer that a client keeps waiting has the lock.
	_ = c.SetWriteDeadline(time.Now().Add(lastWriteTimeout))
	c.lock.Lock()
	defer c.lock.Unlock()
	switch {
	case c.ended || c.closed:
		c.cancel()
	case c.between():
		c.ending = end
		c.tell()
	case c.ending == nil:
		c.ending = end
		c.setTimer(frameWait)
	}
}

// tell needs the lock, and a place between two frames.
func (c *conn) tell() {
	var told []byte
	told, c.closes = c.protocol.end(c.ending)
	_, _ = c.write(told)
	c.ended = true
	if !c.closes {
		_ = c.CloseWrite()
	}
	c.cancel()
}

// Close lets a client that was told read it. The reverse proxy calls it once.
func (c *conn) Close() error {
	c.lock.Lock()
	told, closes := c.ended && c.ending != nil, c.closes
	c.ended, c.closed = true, true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.lock.Unlock()
	if told && c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, err := io.Copy(io.Discard, c.Conn)
		if err != nil && closes {
			// It did not.
			_, _ = c.Conn.Write(c.protocol.goodbye(c.ending))
		}
	}
	return c.Conn.Close()
}

// setTimer needs the lock.
func (c *conn) setTimer(d time.Duration) {
	if c.timer == nil {
		c.timer = time.AfterFunc(d, c.tick)
		return
	}
	c.timer.Reset(d)
}

// tick does what is due, and comes back.
func (c *conn) tick() {
	if c.idleTimeout > 0 && since(&c.lastData) >= c.idleTimeout {
		c.end(idleEnd(c.idleTimeout))
		return
	}
	// Where the lock is taken the connection is not silent, or it is the end that waits.
	if !c.lock.TryLock() {
		time.AfterFunc(frameWait, c.tick)
		return
	}
	defer c.lock.Unlock()
	switch {
	case c.closed || c.ended:
		return
	case c.ending != nil && c.between(): // nothing was copied yet when the end came
		c.tell()
		return
	case c.ending != nil: // the frame was not completed
		c.ended, c.ending = true, nil
		c.cancel()
		return
	case c.pingPeriod > 0 && since(&c.lastWrite) >= c.pingPeriod:
		if c.between() {
			_, _ = c.write(c.protocol.ping())
		} else {
			c.lastWrite.Store(time.Now().UnixNano())
		}
	}
	if wait, ok := c.nextTick(); ok {
		c.setTimer(wait)
	}
}

// nextTick is how long nothing will be due; false: nothing ever will be.
func (c *conn) nextTick() (time.Duration, bool) {
	var wait time.Duration
	if c.pingPeriod > 0 {
		wait = c.pingPeriod - since(&c.lastWrite)
	}
	if c.idleTimeout > 0 {
		idle := c.idleTimeout - since(&c.lastData)
		if c.pingPeriod == 0 || idle < wait {
			wait = idle
		}
	}
	return max(wait, time.Millisecond), c.pingPeriod > 0 || c.idleTimeout > 0
}

func since(t *atomic.Int64) time.Duration { return time.Duration(time.Now().UnixNano() - t.Load()) }
