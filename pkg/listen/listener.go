package listen

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"
)

// keepAlive finds a peer that is gone without a word, within half a minute. The usual defaults take
// minutes, in which a thousand open watches of such peers are held.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// Listener accepts TCP connections within a limit. Where the limit is reached, the oldest
// connection that has not made a request yet gives way to a new one: whoever opens connections
// and says nothing pushes out others of that kind.
type Listener struct {
	net.Listener
	limit int
	// patience is how long a connection may take until its first request.
	patience time.Duration
	metrics  *Metrics

	lock   sync.Mutex
	open   map[*conn]struct{}
	silent list.List // of *conn, oldest first
}

// NewListener accepts from inner at most limit connections at a time. A connection that has not
// made a request within patience is closed; 0: whoever serves sees to that. m may be nil.
func NewListener(inner net.Listener, limit int, patience time.Duration, m *Metrics) *Listener {
	return &Listener{Listener: inner, limit: limit, patience: patience, metrics: m, open: map[*conn]struct{}{}}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := accepted.(*net.TCPConn)
		if !ok {
			return accepted, nil
		}
		if c := l.admit(tcp); c != nil {
			return c, nil
		}
		l.metrics.connectionRefused()
		_ = tcp.Close()
	}
}

// admit takes tcp in, and maybe closes another connection for it. Nil: there is no place.
func (l *Listener) admit(tcp *net.TCPConn) *conn {
	if err := tcp.SetKeepAliveConfig(keepAlive); err != nil {
		klog.V(4).InfoS("TCP keep-alive not set", "err", err)
	}
	c := &conn{TCPConn: tcp, listener: l}
	l.lock.Lock()
	defer l.lock.Unlock()
	if len(l.open) >= l.limit {
		oldest := l.silent.Front()
		if oldest == nil {
			return nil
		}
		evicted := oldest.Value.(*conn)
		l.forget(evicted)
		l.metrics.connectionRefused()
		// Closing may wait for the connection's writer.
		go func() { _ = evicted.TCPConn.Close() }()
	}
	l.open[c] = struct{}{}
	if l.patience > 0 {
		c.silent = l.silent.PushBack(c)
		c.timer = time.AfterFunc(l.patience, func() { _ = c.Close() })
	}
	return c
}

// forget must be called with the lock held.
func (l *Listener) forget(c *conn) {
	delete(l.open, c)
	l.spoken(c)
}

// spoken must be called with the lock held.
func (l *Listener) spoken(c *conn) {
	if c.silent != nil {
		l.silent.Remove(c.silent)
		c.timer.Stop()
		c.silent = nil
	}
}

// Open is how many connections there are.
func (l *Listener) Open() int {
	l.lock.Lock()
	defer l.lock.Unlock()
	return len(l.open)
}

// CloseConnections closes every connection, whatever it is doing.
func (l *Listener) CloseConnections() {
	l.lock.Lock()
	defer l.lock.Unlock()
	for c := range l.open {
		l.forget(c)
		go func() { _ = c.TCPConn.Close() }()
	}
}

// conn is an open connection.
type conn struct {
	*net.TCPConn
	listener *Listener
	// spoke is set with the first request; until then silent and timer may be.
	spoke  atomic.Bool
	silent *list.Element
	timer  *time.Timer
	// unheard is since when the peer has not acknowledged anything; EndDead's own.
	unheard time.Time
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.listener.lock.Lock()
	c.listener.forget(c)
	c.listener.lock.Unlock()
	return c.TCPConn.Close()
}

type connKey struct{}

// withConn keeps a connection in the context of its requests.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if over, ok := c.(*tls.Conn); ok {
		c = over.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}

// withFirstRequest notes that a connection has made a request.
func withFirstRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*conn); ok && !c.spoke.Swap(true) {
			c.listener.lock.Lock()
			c.listener.spoken(c)
			c.listener.lock.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}
