package listen

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

var netDialer = net.Dialer{Timeout: testTimeout}

func TestSilentConnectionsAreClosed(t *testing.T) {
	const patience = 50 * time.Millisecond
	s := start(t, http.NotFoundHandler(), true, func(s *Server) {
		s.Listener = NewListener(s.Listener.Listener, 100, patience, nil)
	})
	for name, said := range map[string]string{
		"nothing":            "",
		"half a hello":       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"plain HTTP to TLS ": "GET",
	} {
		c := s.dial(t)
		_, _ = io.WriteString(c, said)
		t.Log(name)
		awaitClosed(t, c)
	}
}

func TestConnectionThatSpokeIsKept(t *testing.T) {
	const patience = 100 * time.Millisecond
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RemoteAddr) }),
		false, func(s *Server) { s.Listener = NewListener(s.Listener.Listener, 100, patience, nil) })
	client := s.client(t, false)
	_, first := get(t, client, s.url())
	awaitClosed(t, s.dial(t)) // patience has passed
	if _, again := get(t, client, s.url()); again != first {
		t.Errorf("request from %q, want it on the kept connection %q", again, first)
	}
}

func TestHalfAHeaderIsClosed(t *testing.T) {
	s := start(t, http.NotFoundHandler(), false, func(s *Server) {
		s.Listener = NewListener(s.Listener.Listener, 100, 50*time.Millisecond, nil)
	})
	c := s.dial(t)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Half:")
	awaitClosed(t, c)
}

func TestSilentConnectionsGiveWay(t *testing.T) {
	const limit = 5
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RemoteAddr) }),
		true, func(s *Server) { s.Listener = NewListener(s.Listener.Listener, limit, time.Hour, nil) })
	honest := s.client(t, true)
	_, first := get(t, honest, s.url())
	var silent []net.Conn
	for range 4 * limit {
		silent = append(silent, s.dial(t))
	}
	awaitClosed(t, silent[0])
	if open := s.Listener.Open(); open > limit {
		t.Errorf("%d connections open, limit %d", open, limit)
	}
	if _, again := get(t, honest, s.url()); again != first {
		t.Errorf("the honest client's connection was pushed out: %q, was %q", again, first)
	}
	if _, other := get(t, s.client(t, false), s.url()); other == "" {
		t.Error("a new honest client was not served")
	}
}

func TestLimit(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RemoteAddr) }),
		false, func(s *Server) { s.Listener = NewListener(s.Listener.Listener, 1, time.Hour, nil) })
	get(t, s.client(t, false), s.url())
	awaitClosed(t, s.dial(t))
	if open := s.Listener.Open(); open != 1 {
		t.Errorf("%d connections open, want the one that spoke", open)
	}
}
