package hostile

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// slowBuffer is the receive buffer of a slow reader in bytes; the kernel doubles it.
const slowBuffer = 4 << 10

// SlowReaders are clients that read slowly and begin anew when they are cut off.
type SlowReaders struct {
	// Opened, Refused and Ended count answers with status 200, with another one, and those of
	// status 200 that ended before the context did.
	Opened, Refused, Ended atomic.Int64
	// Reading is how many read now.
	Reading atomic.Int64
	group   sync.WaitGroup
}

// SlowReaders starts count readers of path that each take rate bytes a second, until ctx is done.
// Every other one speaks HTTP/2 and holds back by flow control; the rest hold back by not reading.
func (t Target) SlowReaders(ctx context.Context, path string, count, rate int) *SlowReaders {
	s := &SlowReaders{}
	for i := range count {
		read := t.readSlowly1
		if i%2 == 1 {
			read = t.readSlowly2
		}
		s.group.Go(func() {
			for ctx.Err() == nil {
				_ = read(ctx, s, path, rate) // whatever ended it, it begins anew
				pause(ctx, time.Second)
			}
		})
	}
	return s
}

// Wait returns when every reader has ended.
func (s *SlowReaders) Wait() { s.group.Wait() }

// pause waits, or returns early when ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// began counts an answer, and returns what to call at its end.
func (s *SlowReaders) began(ctx context.Context, ok bool) (end func()) {
	if !ok {
		s.Refused.Add(1)
		return func() {}
	}
	s.Opened.Add(1)
	s.Reading.Add(1)
	return func() {
		s.Reading.Add(-1)
		if ctx.Err() == nil {
			s.Ended.Add(1)
		}
	}
}

func (t Target) readSlowly1(ctx context.Context, s *SlowReaders, path string, rate int) error {
	conn, res, err := t.open(ctx, HTTP1, path, slowBuffer)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, conn.Abort)()
	defer conn.Abort()
	defer s.began(ctx, res.StatusCode == http.StatusOK)()
	if res.StatusCode != http.StatusOK {
		return refusal(res)
	}
	for err == nil && ctx.Err() == nil {
		pause(ctx, time.Second)
		_, err = io.CopyN(io.Discard, res.Body, int64(rate))
	}
	return err
}

func (t Target) readSlowly2(ctx context.Context, s *SlowReaders, path string, rate int) error {
	conn, err := t.dial(ctx, HTTP2, slowBuffer)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, conn.Abort)()
	defer conn.Abort()
	h, err := newH2(conn)
	if err != nil {
		return err
	}
	if err := h.get(1, h.headers(t, path)); err != nil {
		return err
	}
	return h.readSlowly(ctx, s, rate)
}

// readSlowly reads what comes and opens the windows of stream and connection by rate a second.
func (h *h2) readSlowly(ctx context.Context, s *SlowReaders, rate int) error {
	end := func() {}
	defer func() { end() }()
	for {
		frame, err := h.framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			// 200 is index 8 of HPACK's static table: one byte, 0x88.
			block := f.HeaderBlockFragment()
			ok := len(block) > 0 && block[0] == 0x88
			end = s.began(ctx, ok)
			if !ok {
				return errors.New("refused")
			}
			go openWindows(ctx, h.conn, rate)
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return errors.New("cut off")
		default:
			if f.Header().Flags.Has(http2.FlagDataEndStream) && f.Header().Type == http2.FrameData {
				return nil
			}
			if err := h.answer(frame); err != nil {
				return err
			}
		}
	}
}

// openWindows runs until the connection has ended. It has a framer of its own: that of the reader
// is for one goroutine.
func openWindows(ctx context.Context, conn *Conn, rate int) {
	out := http2.NewFramer(conn, nil)
	for ctx.Err() == nil {
		pause(ctx, time.Second)
		if out.WriteWindowUpdate(0, uint32(rate)) != nil || out.WriteWindowUpdate(1, uint32(rate)) != nil {
			return
		}
	}
}
