package proxy

import (
	"net/http"
	"sync"
	"time"
)

// burstPause is how long what follows a flushed write may wait to be flushed together with what
// follows it. A single event is flushed at once.
const burstPause = time.Millisecond

// bursts is the ResponseWriter of a stream. The reverse proxy flushes after every write; here the
// first write after a pause is flushed at once, and a burst is held and goes out once a millisecond.
// Replaying a thousand events would otherwise be a thousand small writes to the client.
type bursts struct {
	http.ResponseWriter

	lock    sync.Mutex
	flushed time.Time
	// held is what waits, in a borrowed buffer; nil between bursts.
	held []byte
	// failed is what became of the last write or flush that nobody waited for.
	failed error
	// timer is made by the first burst; most streams never have one.
	timer   *time.Timer
	waiting bool
	ended   bool
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (b *bursts) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// Write implements io.Writer.
func (b *bursts) Write(p []byte) (int, error) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.failed != nil {
		return 0, b.failed
	}
	if !b.waiting && time.Since(b.flushed) >= burstPause || len(p) > shortBuffer {
		b.pour()
		if b.failed != nil {
			return 0, b.failed
		}
		return b.ResponseWriter.Write(p)
	}
	if len(b.held)+len(p) > shortBuffer {
		b.pour()
	}
	if b.held == nil {
		b.held = buffers[Short].Get()[:0]
	}
	b.held = append(b.held, p...)
	return len(p), b.failed
}

// pour needs the lock; it writes what is held.
func (b *bursts) pour() {
	if b.held == nil {
		return
	}
	if b.failed == nil {
		_, b.failed = b.ResponseWriter.Write(b.held)
	}
	buffers[Short].Put(b.held[:shortBuffer])
	b.held = nil
}

// FlushError flushes now, or soon.
func (b *bursts) FlushError() error {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.waiting {
		return nil
	}
	now := time.Now()
	if b.held == nil && now.Sub(b.flushed) >= burstPause {
		b.flushed = now
		return http.NewResponseController(b.ResponseWriter).Flush()
	}
	b.waiting = true
	if b.timer == nil {
		b.timer = time.AfterFunc(burstPause, b.flushLate)
	} else {
		b.timer.Reset(burstPause)
	}
	return nil
}

// flushLate ends a pause.
func (b *bursts) flushLate() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.waiting = false
	if b.ended {
		return // the server's writer must not be used any more
	}
	b.pour()
	b.flushed = time.Now()
	if err := http.NewResponseController(b.ResponseWriter).Flush(); b.failed == nil {
		b.failed = err
	}
}

// end writes what is held and stops flushing; what was written last is flushed by the server.
func (b *bursts) end() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.pour()
	b.ended = true
	if b.timer != nil {
		b.timer.Stop()
	}
}
