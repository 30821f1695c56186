package proxy

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// flushes counts how often it was flushed.
type flushes struct {
	http.ResponseWriter
	count atomic.Int32
}

func (f *flushes) FlushError() error {
	f.count.Add(1)
	return nil
}

func TestSingleEventIsFlushedAtOnceAndABurstTogether(t *testing.T) {
	counted := &flushes{ResponseWriter: httptest.NewRecorder()}
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
	if got := counted.count.Load(); got != 1 {
		t.Fatalf("%d flushes after the first event, want 1", got)
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
