package streams

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"sync"
)

// Open prepares a request that stays open to be forwarded with what it returns. done must be deferred,
// so that it runs, in a panic too, when the reverse proxy has returned.
func Open(w http.ResponseWriter, r *http.Request, s Settings) (_ http.ResponseWriter, _ *http.Request, done func()) {
	if !s.Upgrade {
		a := &answer{ResponseWriter: w, ctx: r.Context(), kind: s.Kind}
		return a, r, a.finish
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	u := &upgrade{ResponseWriter: w, settings: s, cancel: cancel}
	stop := context.AfterFunc(r.Context(), func() { u.end(r.Context()) })
	return u, r.WithContext(context.WithValue(ctx, upgradeKey{}, u)), func() {
		stop()
		cancel(nil)
	}
}

// upgrade is a ResponseWriter that hands out a conn.
type upgrade struct {
	http.ResponseWriter
	settings Settings
	cancel   context.CancelCauseFunc
	head     http.Header // of the answer that switched protocols

	lock sync.Mutex
	conn *conn
}

type upgradeKey struct{}

// Switched tells of the answer that switches the protocol. The reverse proxy hijacks the client's
// connection before it copies the headers to where they could be read.
func Switched(res *http.Response) {
	if u, ok := res.Request.Context().Value(upgradeKey{}).(*upgrade); ok {
		u.head = res.Header
	}
}

// Unwrap lets http.ResponseController reach the server's own writer.
func (u *upgrade) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// Hijack returns a conn. The head of the answer is to be written by the writer that comes with it,
// which goes past the conn: it is no frame.
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, buffered, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return u.start(raw, buffered.Reader), buffered, nil
}

func (u *upgrade) start(raw net.Conn, buffered *bufio.Reader) *conn {
	u.lock.Lock()
	defer u.lock.Unlock()
	u.conn = start(raw, buffered, u.head, u.settings, func() { u.cancel(nil) })
	return u.conn
}

// end is called when the context of the client's request has ended.
func (u *upgrade) end(ctx context.Context) {
	u.lock.Lock()
	c := u.conn
	u.lock.Unlock()
	end := EndOf(ctx)
	if c == nil || end == nil {
		u.cancel(context.Cause(ctx))
		return
	}
	c.end(end)
}
