package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Gate is a TCP path to an address that can go silent.
type Gate struct {
	listener net.Listener
	target   string

	lock    sync.Mutex
	silent  bool
	changed *sync.Cond
	conns   map[net.Conn]struct{}
	closed  bool
}

// NewGate opens a path from a free port of the loopback interface to target (host:port).
func NewGate(target string) (*Gate, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("path to %s: %w", target, err)
	}
	g := &Gate{listener: listener, target: target, conns: map[net.Conn]struct{}{}}
	g.changed = sync.NewCond(&g.lock)
	go g.serve()
	return g, nil
}

// Address is where the path begins.
func (g *Gate) Address() string { return g.listener.Addr().String() }

// Silence makes the path carry nothing, or carry again what was held meanwhile.
func (g *Gate) Silence(silent bool) {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.silent = silent
	g.changed.Broadcast()
}

// Connections is how many are open at the near side.
func (g *Gate) Connections() int {
	g.lock.Lock()
	defer g.lock.Unlock()
	return len(g.conns) / 2
}

// Close ends the path and every connection on it.
func (g *Gate) Close() error {
	err := g.listener.Close()
	g.lock.Lock()
	defer g.lock.Unlock()
	g.closed = true
	g.changed.Broadcast()
	for conn := range g.conns {
		_ = conn.Close()
	}
	return err
}

func (g *Gate) serve() {
	for {
		near, err := g.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err == nil {
			go g.carry(near)
		}
	}
}

// carry joins near with a new connection to the target, which is not made while the path is silent.
func (g *Gate) carry(near net.Conn) {
	defer func() { _ = near.Close() }()
	if !g.pass() {
		return
	}
	far, err := net.Dial("tcp", g.target)
	if err != nil {
		return
	}
	if !g.keep(near, far) {
		return
	}
	defer g.drop(near, far)
	var directions sync.WaitGroup
	directions.Go(func() { g.copy(far, near) })
	directions.Go(func() { g.copy(near, far) })
	directions.Wait()
}

// copy passes bytes and their end, when the path carries.
func (g *Gate) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !g.pass() {
			return
		}
		if n > 0 {
			if _, writeErr := to.Write(buffer[:n]); writeErr != nil {
				_ = from.Close()
				return
			}
		}
		if err != nil {
			if tcp, ok := to.(*net.TCPConn); ok && errors.Is(err, io.EOF) {
				_ = tcp.CloseWrite()
			} else {
				_ = to.Close()
			}
			return
		}
	}
}

// pass waits until the path carries; false: it is closed.
func (g *Gate) pass() bool {
	g.lock.Lock()
	defer g.lock.Unlock()
	for g.silent && !g.closed {
		g.changed.Wait()
	}
	return !g.closed
}

func (g *Gate) keep(conns ...net.Conn) bool {
	g.lock.Lock()
	defer g.lock.Unlock()
	for _, conn := range conns {
		if g.closed {
			_ = conn.Close()
			continue
		}
		g.conns[conn] = struct{}{}
	}
	return !g.closed
}

func (g *Gate) drop(conns ...net.Conn) {
	g.lock.Lock()
	defer g.lock.Unlock()
	for _, conn := range conns {
		delete(g.conns, conn)
		_ = conn.Close()
	}
}
