package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Backend is one server behind a balancer.
type Backend struct {
	// Address takes connections (host:port), and Ready is the URL that says whether it wants them.
	Address, Ready string
}

// Balancer spreads connections over the backends that are ready, in turn. As the network of a
// cluster does, it leaves connections alone that are open, and tries no second backend.
type Balancer struct {
	listener net.Listener
	checks   *http.Client
	cancel   context.CancelFunc
	loops    sync.WaitGroup

	lock     sync.Mutex
	backends []Backend
	ready    []bool
	next     int
}

// NewBalancer opens a free port of the loopback interface; trust is for the backends' readiness.
func NewBalancer(trust *tls.Config, period time.Duration, backends ...Backend) (*Balancer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("balancer: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &Balancer{
		listener: listener, cancel: cancel, backends: backends, ready: make([]bool, len(backends)),
		checks: &http.Client{Timeout: time.Second, Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true}},
	}
	for i := range backends {
		b.check(ctx, i)
		b.loops.Go(func() {
			ticker := time.NewTicker(period)
			defer ticker.Stop()
			for ctx.Err() == nil {
				select {
				case <-ctx.Done():
				case <-ticker.C:
					b.check(ctx, i)
				}
			}
		})
	}
	go b.serve()
	return b, nil
}

// Address is where clients connect.
func (b *Balancer) Address() string { return b.listener.Addr().String() }

// Ready is how many backends are ready.
func (b *Balancer) Ready() int {
	b.lock.Lock()
	defer b.lock.Unlock()
	count := 0
	for _, ready := range b.ready {
		if ready {
			count++
		}
	}
	return count
}

// Close takes no more connections.
func (b *Balancer) Close() error {
	b.cancel()
	b.loops.Wait()
	return b.listener.Close()
}

func (b *Balancer) check(ctx context.Context, i int) {
	ready := false
	if req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.backends[i].Ready, nil); err == nil {
		if res, err := b.checks.Do(req); err == nil {
			ready = res.StatusCode == http.StatusOK
			_ = res.Body.Close()
		}
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	b.ready[i] = ready
}

func (b *Balancer) pick() (string, bool) {
	b.lock.Lock()
	defer b.lock.Unlock()
	for range b.backends {
		i := b.next
		b.next = (b.next + 1) % len(b.backends)
		if b.ready[i] {
			return b.backends[i].Address, true
		}
	}
	return "", false
}

func (b *Balancer) serve() {
	for {
		near, err := b.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err == nil {
			go b.carry(near.(*net.TCPConn))
		}
	}
}

func (b *Balancer) carry(near *net.TCPConn) {
	defer func() { _ = near.Close() }()
	address, ok := b.pick()
	if !ok {
		return
	}
	dialed, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	far := dialed.(*net.TCPConn)
	defer func() { _ = far.Close() }()
	var directions sync.WaitGroup
	directions.Go(func() { join(far, near) })
	directions.Go(func() { join(near, far) })
	directions.Wait()
}

// join passes bytes and their end; a broken side breaks the other.
func join(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		_ = to.Close()
		_ = from.Close()
		return
	}
	_ = to.CloseWrite()
}
