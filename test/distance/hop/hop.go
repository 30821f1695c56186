package hop

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	chunkBytes = 64 << 10
	// onTheWay bounds the chunks between the two ends, in each direction.
	onTheWay = 1024
)

// Hop is a path to an address, open for as many connections as are made.
type Hop struct {
	listener net.Listener
	target   string
	delay    time.Duration

	lock   sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// Listen opens a path from a free port of the loopback interface to target (host:port). Each byte
// takes delay on its way, in either direction: a question and its answer take twice that.
func Listen(target string, delay time.Duration) (*Hop, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("path to %s: %w", target, err)
	}
	h := &Hop{listener: listener, target: target, delay: delay, conns: map[net.Conn]struct{}{}}
	go h.serve()
	return h, nil
}

// Port is where the path begins.
func (h *Hop) Port() int { return h.listener.Addr().(*net.TCPAddr).Port }

// Close ends the path and every connection on it.
func (h *Hop) Close() error {
	err := h.listener.Close()
	h.lock.Lock()
	defer h.lock.Unlock()
	h.closed = true
	for conn := range h.conns {
		_ = conn.Close()
	}
	return err
}

func (h *Hop) serve() {
	for {
		near, err := h.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err == nil {
			go h.carry(near.(*net.TCPConn))
		}
	}
}

// carry joins near with a new connection to the target. The first two delays are those of SYN and
// SYN-ACK, which a client at the far end of the path would have waited for.
func (h *Hop) carry(near *net.TCPConn) {
	defer func() { _ = near.Close() }()
	time.Sleep(2 * h.delay)
	dialed, err := net.Dial("tcp", h.target)
	if err != nil {
		return
	}
	far := dialed.(*net.TCPConn)
	defer func() { _ = far.Close() }()
	if !h.keep(near, far) {
		return
	}
	defer h.drop(near, far)
	var directions sync.WaitGroup
	directions.Go(func() { h.copy(far, near) })
	directions.Go(func() { h.copy(near, far) })
	directions.Wait()
}

// chunk is data that arrives at a point in time. nil: the end.
type chunk struct {
	data []byte
	due  time.Time
}

// copy passes bytes and their end, each as late as the path is long.
func (h *Hop) copy(to, from *net.TCPConn) {
	chunks := make(chan chunk, onTheWay)
	go h.read(from, chunks)
	broken, ended := false, false
	for c := range chunks {
		if broken {
			continue // the reader must not be left behind
		}
		time.Sleep(time.Until(c.due))
		if c.data == nil {
			_ = to.CloseWrite()
			ended = true
			continue
		}
		if _, err := to.Write(c.data); err != nil {
			broken = true
			_ = from.Close()
		}
	}
	if !ended {
		_ = to.Close()
	}
}

func (h *Hop) read(from *net.TCPConn, chunks chan<- chunk) {
	defer close(chunks)
	for {
		buffer := make([]byte, chunkBytes)
		n, err := from.Read(buffer)
		due := time.Now().Add(h.delay)
		if n > 0 {
			chunks <- chunk{data: buffer[:n], due: due}
		}
		if errors.Is(err, io.EOF) {
			chunks <- chunk{due: due}
		}
		if err != nil {
			return
		}
	}
}

func (h *Hop) keep(conns ...net.Conn) bool {
	h.lock.Lock()
	defer h.lock.Unlock()
	for _, conn := range conns {
		h.conns[conn] = struct{}{}
	}
	return !h.closed
}

func (h *Hop) drop(conns ...net.Conn) {
	h.lock.Lock()
	defer h.lock.Unlock()
	for _, conn := range conns {
		delete(h.conns, conn)
	}
}
