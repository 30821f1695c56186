package kubelet

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
)

// conn cancels the context of its requests when the peer goes away. net/http does so only
// until a connection is hijacked, and that is what every stream does.
type conn struct {
	net.Conn
	cancel context.CancelFunc
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	// A passed deadline is no end: net/http sets one to interrupt its own pending read.
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.cancel()
	}
	return n, err
}

func (c *conn) Close() error {
	c.cancel()
	return c.Conn.Close()
}

type connListener struct{ net.Listener }

func (l connListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: accepted, cancel: func() {}}, nil
}

// connContext is called before anything is read from the connection.
func connContext(ctx context.Context, served net.Conn) context.Context {
	c := served.(*tls.Conn).NetConn().(*conn)
	ctx, c.cancel = context.WithCancel(ctx)
	context.AfterFunc(ctx, func() { _ = c.Conn.Close() }) // hijacked ones too, when the server closes
	return ctx
}
