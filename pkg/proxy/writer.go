package proxy

import (
	"net/http"
	"sync"
	"time"
)

// Buffer sizes in bytes. A short answer is copied in large steps; an open stream holds its buffer
// for life, so that one is small.
const (
	shortBuffer  = 64 << 10
	streamBuffer = 4 << 10
)

var buffers = [...]*bufferPool{
	Short:   newBufferPool(shortBuffer),
	Stream:  newBufferPool(streamBuffer),
	Upgrade: newBufferPool(streamBuffer),
}

// bufferPool lends copy buffers of one size.
type bufferPool struct{ pool sync.Pool }

func newBufferPool(size int) *bufferPool {
	return &bufferPool{pool: sync.Pool{New: func() any { b := make([]byte, size); return &b }}}
}

func (p *bufferPool) Get() []byte  { return *p.pool.Get().(*[]byte) }
func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }

func flushInterval(lane Lane) time.Duration {
	if lane == Stream {
		return -1 // after every write
	}
	return 0
}

// unflushed hides flushing from the reverse proxy, which flushes every answer of unknown length
// after each buffer. An API server's lists are of unknown length, and nobody waits for a part of one.
type unflushed struct{ http.ResponseWriter }

// FlushError does nothing: the server flushes when the handler returns.
func (unflushed) FlushError() error { return nil }

// closing answers a refused upgrade with "Connection: close": a client may already have sent bytes
// of the protocol that it did not get, and they must not be read as a request.
type closing struct{ http.ResponseWriter }

// Unwrap lets http.ResponseController reach Hijack.
func (c closing) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// WriteHeader adds Connection: close to every final answer. A successful upgrade hijacks the
// connection and never comes here.
func (c closing) WriteHeader(code int) {
	if code >= http.StatusOK {
		c.Header().Set("Connection", "close")
	}
	c.ResponseWriter.WriteHeader(code)
}
