package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// flushes counts how often it was flushed and written to.
type flushes struct {
	http.ResponseWriter
	count, writes atomic.Int32
	err           error
}

func (f *flushes) Write(p []byte) (int, error) {
	f.writes.Add(1)
	if f.err != nil {
		return 0, f.err
	}
	return f.ResponseWriter.Write(p)
}

func (f *flushes) FlushError() error {
	f.count.Add(1)
	return nil
}

func TestSingleEventIsFlushedAtOnceAndABurstTogether(t *testing.T) {
	recorder := httptest.NewRecorder()
	counted := &flushes{ResponseWriter: recorder}
	b := &bursts{ResponseWriter: counted}
	send := func() {
		if _, err := b.Write([]byte("event\n")); err != nil {
			t.Fatal(err)
		}
		if err := http.NewResponseController(b).Flush(); err != nil {
			t.Fatal(err)
		}
	}
	send()
	if flushed, written := counted.count.Load(), counted.writes.Load(); flushed != 1 || written != 1 {
		t.Fatalf("%d flushes and %d writes after the first event, want 1", flushed, written)
	}
	const events = 1000
	for range events {
		send()
	}
	if !eventually(func() bool {
		b.lock.Lock()
		defer b.lock.Unlock()
		return !b.waiting
	}) {
		t.Fatal("the end of a burst is never flushed")
	}
	if got := counted.count.Load(); got < 2 || got > events/2 {
		t.Errorf("%d flushes for a burst of %d events", got, events)
	}
	if got := counted.writes.Load(); got > events/2 {
		t.Errorf("%d writes for a burst of %d events", got, events)
	}
	b.end()
	if got, want := recorder.Body.String(), strings.Repeat("event\n", events+1); got != want {
		t.Errorf("%d bytes came out, %d went in", len(got), len(want))
	}
}

func TestBurstIsWholeHoweverLargeItIs(t *testing.T) {
	recorder := httptest.NewRecorder()
	b := &bursts{ResponseWriter: &flushes{ResponseWriter: recorder}}
	var want strings.Builder
	for i := range 200 {
		event := strings.Repeat(string(rune('a'+i%26)), streamBuffer)
		want.WriteString(event)
		if _, err := b.Write([]byte(event)); err != nil {
			t.Fatal(err)
		}
		if err := b.FlushError(); err != nil {
			t.Fatal(err)
		}
	}
	b.end()
	if got := recorder.Body.String(); got != want.String() {
		t.Errorf("%d bytes came out, %d went in, or in another order", len(got), want.Len())
	}
}

func TestFailureOfWhatWaitedIsToldWithTheNextWrite(t *testing.T) {
	broken := &flushes{ResponseWriter: httptest.NewRecorder()}
	b := &bursts{ResponseWriter: broken}
	if err := b.FlushError(); err != nil {
		t.Fatal(err)
	}
	broken.err = io.ErrClosedPipe
	if !eventually(func() bool {
		_, err := b.Write([]byte("event\n"))
		_ = b.FlushError()
		return errors.Is(err, io.ErrClosedPipe)
	}) {
		t.Error("the failure is not told")
	}
	b.end()
}

func TestNothingIsFlushedAfterTheEnd(t *testing.T) {
	counted := &flushes{ResponseWriter: httptest.NewRecorder()}
	b := &bursts{ResponseWriter: counted}
	for range 2 { // the second waits
		if err := b.FlushError(); err != nil {
			t.Fatal(err)
		}
	}
	before := counted.count.Load()
	b.end()
	b.flushLate()
	if got := counted.count.Load(); got != before {
		t.Errorf("flushed %d times after the end", got-before)
	}
}
