package hostile

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// dialTimeout bounds a connection's start, TLS included; a server under load takes its time.
const dialTimeout = 30 * time.Second

// The protocols of a connection over TLS.
const (
	HTTP1 = "http/1.1"
	HTTP2 = "h2"
)

// Target is where hostile clients go.
type Target struct {
	// Address is host and port over TLS, Plain of the same over plain HTTP; Plain may be empty.
	Address, Plain string
	// Roots verify the server's certificate.
	Roots *x509.CertPool
	// Prefix is the path of the door, such as "/kubernetes/cluster".
	Prefix string
	// Token is the bearer token of requests; empty: none is sent.
	Token string
}

// Conn is a connection whose socket can be reached below TLS.
type Conn struct {
	// Conn is the TLS connection, or the plain one.
	net.Conn
	raw *net.TCPConn
}

// dialer sends no keep-alive probes: the peer's answers to them would tell it that we live.
func dialer(receiveBuffer int) *net.Dialer {
	d := &net.Dialer{Timeout: dialTimeout, KeepAlive: -1}
	if receiveBuffer > 0 {
		// Before the connection is made, so that the window is small from its first packet on.
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) { failed = setReceiveBuffer(fd, receiveBuffer) })
			return errors.Join(err, failed)
		}
	}
	return d
}

// dialTCP connects without TLS. receiveBuffer in bytes; 0: the system's own.
func dialTCP(ctx context.Context, address string, receiveBuffer int) (*Conn, error) {
	conn, err := dialer(receiveBuffer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &Conn{Conn: conn, raw: conn.(*net.TCPConn)}, nil
}

// dial connects with TLS and protocol.
func (t Target) dial(ctx context.Context, protocol string, receiveBuffer int) (*Conn, error) {
	conn, err := dialTCP(ctx, t.Address, receiveBuffer)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn.raw, t.tls(protocol))
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Abort()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	conn.Conn = secure
	return conn, nil
}

func (t Target) tls(protocol string) *tls.Config {
	host, _, err := net.SplitHostPort(t.Address)
	if err != nil {
		host = t.Address
	}
	return &tls.Config{RootCAs: t.Roots, ServerName: host, NextProtos: []string{protocol}}
}

// Abort closes the connection as the kernel does for a killed process that had not read
// everything: by a reset, without the farewells of TLS or HTTP.
func (c *Conn) Abort() {
	_ = c.raw.SetLinger(0)
	_ = c.raw.Close()
}

// Kill closes the connection as the kernel does for a killed process: no farewell but the end of
// the TCP connection.
func (c *Conn) Kill() { _ = c.raw.Close() }

// Silence makes the kernel drop whatever the peer sends from now on, without acknowledgement, so
// that the peer sees a client whose network is gone. Nothing must be written afterwards. Abort
// ends the silence.
func (c *Conn) Silence() error {
	raw, err := c.raw.SyscallConn()
	if err != nil {
		return fmt.Errorf("silence: %w", err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = dropAll(fd) }); err != nil {
		return fmt.Errorf("silence: %w", err)
	}
	if failed != nil {
		return fmt.Errorf("silence: attach packet filter: %w", failed)
	}
	return nil
}
