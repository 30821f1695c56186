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
// first write after a pause is flushed at once and a burst once a millisecond. Replaying a
// thousand events would otherwise be a thousand small writes to the client.
type bursts struct {
	http.ResponseWriter

	lock    sync.Mutex
	flushed time.Time
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
	return b.ResponseWriter.Write(p)
}

// FlushError flushes now, or soon.
func (b *bursts) FlushError() error {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.waiting {
		return nil
	}
	now := time.Now()
	if now.Sub(b.flushed) >= burstPause {
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

// flushLate ends a pause. An error shows again with the next write.
func (b *bursts) flushLate() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.waiting = false
	if b.ended {
		return // the server's writer must not be used any more
	}
	b.flushed = time.Now()
	_ = http.NewResponseController(b.ResponseWriter).Flush()
}

// end stops flushing; what was written last is flushed by the server.
func (b *bursts) end() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.ended = true
	if b.timer != nil {
		b.timer.Stop()
	}
}
