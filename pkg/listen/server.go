package listen

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/endpoints/metrics"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"
)

const (
	// firstRequestTimeout is how long a connection may take for TLS and the header of its first
	// request, however it spreads them.
	firstRequestTimeout = 30 * time.Second
	// headerTimeout and idleTimeout are those of the generic API server.
	headerTimeout = 32 * time.Second
	idleTimeout   = 90 * time.Second
	// linger is how long requests on open connections are still answered after the listener closed.
	linger = time.Second
	// writeGrace is how much longer than a request an answer may take to be read.
	writeGrace = 5 * time.Second

	// maxHeaderBytes bounds what is held for a stranger: a thousand impersonated groups are about
	// 70 KiB. The API server takes 1 MiB.
	maxHeaderBytes = 128 << 10

	// Pings find a peer that is gone without a word within half a minute. A peer that lives and
	// does not read answers them; bytes that nobody takes off the connection end it as soon.
	pingAfter   = 15 * time.Second
	pingTimeout = 15 * time.Second
	byteTimeout = 30 * time.Second

	// What a peer may send ahead, in bytes: most objects fit into one stream's share. A
	// connection's share bounds what a stranger makes us hold.
	streamBuffer     = 256 << 10
	connectionBuffer = 1 << 20
	maxFrame         = 64 << 10
	// maxStreams is what clients start with, and the API server's own.
	maxStreams = 100
)

// Server is an HTTP server on one listener.
type Server struct {
	// Name is for errors and the log.
	Name string
	// Handler answers.
	Handler http.Handler
	// Listener is what is served; a *Listener to have limits.
	Listener *Listener
	// Secure holds TLS settings; nil: plain HTTP.
	Secure *genericserver.SecureServingInfo
	// Timeout bounds a request that is not long-running. A handler that takes longer must take
	// the deadlines off its connection or stream.
	Timeout time.Duration

	server   *http.Server
	inFlight atomic.Int64
	// closing is set before the listener is closed on purpose.
	closing atomic.Bool
}

// NewListenerFor is NewListener with the patience of an own Server.
func NewListenerFor(inner net.Listener, limit int, m *Metrics) *Listener {
	return NewListener(inner, limit, firstRequestTimeout, m)
}

// Start serves in the background until Shutdown or Close. Certificates are read again until ctx is
// done. An error that ends the serving early is handed to failed.
func (s *Server) Start(ctx context.Context, failed func(error)) error {
	s.server = &http.Server{
		Handler:           withFirstRequest(s.counted(s.Handler)),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       s.Timeout + writeGrace,
		WriteTimeout:      s.Timeout + writeGrace,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnContext:       withConn,
		ErrorLog:          log.New(errorLog{}, "", 0),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReadFrameSize:              maxFrame,
			MaxReceiveBufferPerStream:     streamBuffer,
			MaxReceiveBufferPerConnection: connectionBuffer,
			SendPingTimeout:               pingAfter,
			PingTimeout:                   pingTimeout,
			WriteByteTimeout:              byteTimeout,
		},
	}
	serve := func() error { return s.server.Serve(s.Listener) }
	if s.Secure != nil {
		var err error
		if s.server.TLSConfig, err = tlsConfig(ctx, s.Secure); err != nil {
			return fmt.Errorf("%s listener: %w", s.Name, err)
		}
		if s.Secure.HTTP2MaxStreamsPerConnection > 0 {
			s.server.HTTP2.MaxConcurrentStreams = s.Secure.HTTP2MaxStreamsPerConnection
		}
		serve = func() error { return s.server.ServeTLS(s.Listener, "", "") }
	}
	go s.Listener.EndDead(ctx)
	klog.InfoS("Serving", "listener", s.Name, "address", s.Listener.Addr())
	go func() {
		if err := serve(); !s.closing.Load() {
			failed(fmt.Errorf("%s listener: %w", s.Name, err))
		}
	}()
	return nil
}

// counted counts handlers, since the HTTP server forgets those of hijacked connections.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.inFlight.Add(1)
		defer s.inFlight.Add(-1)
		if r.ProtoMajor == 2 {
			growStack(0) // goroutines of HTTP/1.1 serve many requests, and keep theirs
		}
		next.ServeHTTP(w, r)
	})
}

// Shutdown stops accepting connections and waits until every handler has returned, upgraded
// connections included, or ctx is done: then it closes what is left and says so.
func (s *Server) Shutdown(ctx context.Context) error {
	// The HTTP server, once it shuts down, drops requests that it has already read. So requests
	// that are on their way are answered first; a Drain must have begun.
	s.closing.Store(true)
	_ = s.Listener.Close()
	select {
	case <-time.After(linger):
	case <-ctx.Done():
	}
	err := s.server.Shutdown(ctx)
	if errors.Is(err, net.ErrClosed) {
		err = nil // the listener, a second time
	}
	if err == nil {
		err = wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(context.Context) (bool, error) {
			return s.inFlight.Load() == 0, nil
		})
	}
	if err != nil {
		left := s.inFlight.Load()
		s.Close()
		return fmt.Errorf("%s listener: %d requests cut off: %w", s.Name, left, err)
	}
	return nil
}

// Close ends the serving and every connection at once.
func (s *Server) Close() {
	s.closing.Store(true)
	_ = s.Listener.Close()
	if s.server == nil {
		return
	}
	_ = s.server.Close()
	s.Listener.CloseConnections()
}

// errorLog carries the server's own notes into the log. Failed handshakes are what port scanners
// and health checks by TCP make all day.
type errorLog struct{}

func (errorLog) Write(p []byte) (int, error) {
	note := strings.TrimSpace(string(p))
	if strings.Contains(note, "TLS handshake error") {
		metrics.TLSHandshakeErrors.Inc()
		klog.V(5).InfoS("HTTP server", "note", note)
	} else {
		klog.InfoS("HTTP server", "note", note)
	}
	return len(p), nil
}
