package streams

import (
	"context"
	"encoding/binary"
	"errors"
	"mime"
	"net/http"
	"time"
)

// lastWriteTimeout bounds how long a client that does not read can keep a stream from ending.
const lastWriteTimeout = 5 * time.Second

// framing is how the events of an answer are told from each other.
type framing uint8

const (
	// unknown is an answer that is not ours to add to.
	unknown framing = iota
	// lines end with a line feed, which does not occur inside of one: text, and JSON as the API
	// server writes events.
	lines
	// prefixed events follow their length, four bytes, big-endian: protobuf.
	prefixed
)

// answer is a ResponseWriter that knows whether what was written ends with a whole event.
type answer struct {
	http.ResponseWriter
	ctx     context.Context
	kind    Kind
	framing framing
	cut     bool   // lines: behind something that is not a line feed
	have    uint8  // prefixed: bytes of the length that were seen
	left    uint32 // prefixed: bytes of the event to come; with have < 4 the length so far
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader learns how events are framed.
func (a *answer) WriteHeader(code int) {
	if code == http.StatusOK {
		a.framing = framingOf(a.kind, a.Header())
	}
	a.ResponseWriter.WriteHeader(code)
}

// framingOf reads the content type of an answer that was good.
func framingOf(kind Kind, h http.Header) framing {
	if h.Get("Content-Encoding") != "" || h.Get("Content-Length") != "" {
		return unknown
	}
	mediaType, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case err != nil:
		return unknown
	case kind == Watch && mediaType == jsonType, kind == Log && mediaType == "text/plain":
		return lines
	case kind == Watch && mediaType == protobufType:
		return prefixed
	}
	return unknown
}

// Write passes p on and follows where its last event ends.
func (a *answer) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	if n > 0 {
		a.follow(p[:n])
	}
	return n, err
}

func (a *answer) follow(p []byte) {
	switch a.framing {
	case lines:
		a.cut = p[len(p)-1] != '\n'
	case prefixed:
		a.followPrefixed(p)
	}
}

func (a *answer) followPrefixed(p []byte) {
	for len(p) > 0 {
		if a.have < 4 {
			a.left = a.left<<8 | uint32(p[0])
			a.have++
			p = p[1:]
		} else {
			n := min(uint64(a.left), uint64(len(p)))
			a.left -= uint32(n)
			p = p[n:]
		}
		if a.have == 4 && a.left == 0 {
			a.have = 0
		}
	}
}

// whole says whether an event may follow.
func (a *answer) whole() bool {
	switch a.framing {
	case lines:
		return !a.cut
	case prefixed:
		return a.have == 0
	}
	return false
}

// finish is deferred around the forwarding of a request. It makes of the panic, by which the reverse
// proxy says that the answer stopped in the middle, a good end where the agent stopped it and where a
// good end can be had.
func (a *answer) finish() {
	panicked := recover()
	end := EndOf(a.ctx)
	if panicked != nil && (!aborted(panicked) || end == nil || !a.tell(end)) {
		panic(panicked)
	}
	if end != nil {
		// The connection may serve other requests.
		_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Time{})
	}
}

// aborted says whether a panic is the reverse proxy's word for an answer that stopped in the middle.
func aborted(panicked any) bool {
	err, ok := panicked.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}

// Hurry bounds how long a client that does not read can keep its stream from ending. It is to be
// called when the stream's context is ended, and not after its request is over.
func Hurry(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(lastWriteTimeout))
}

// tell writes what the client is to be told, and says whether the answer is complete by that.
func (a *answer) tell(end *End) bool {
	switch {
	case a.kind == Log && a.framing == lines:
		// Never complete: kubectl must not take what it has for the whole log.
		line := logLine(end)
		if a.cut {
			line = append([]byte{'\n'}, line...)
		}
		_ = a.last(line)
		return false
	case a.kind == Watch && a.whole() && end.GoingAway:
		return true
	case a.kind == Watch && a.whole():
		event, err := errorEvent(a.framing, end)
		return err == nil && a.last(event) == nil
	}
	return false
}

// last writes and flushes.
func (a *answer) last(p []byte) error {
	Hurry(a.ResponseWriter)
	if _, err := a.ResponseWriter.Write(p); err != nil {
		return err
	}
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// prefix returns event behind its length.
func prefix(event []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(event))), event...)
}
