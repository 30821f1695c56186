package listen

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// exitGrace is for closing connections and flushing the audit log after the last request: the
// generic server gives HTTP/2 clients two seconds to leave.
const exitGrace = 5 * time.Second

// Shutdown is how a program ends, so that nobody notices but by opening watches anew:
//
//  1. at once: /readyz says no, everything is served;
//  2. after half of the delay: every answer is the last one of its connection, so that clients
//     are elsewhere before a connection that is kept is closed under them;
//  3. after the delay: the outer listeners close, open streams are told to end, and requests in
//     flight are waited for;
//  4. the generic server does the same for the inner listener and flushes the audit log.
type Shutdown struct {
	// Drain is begun at step 2; its handler must be around those of all listeners.
	Drain Drain

	delay, inFlight time.Duration
	streams         chan struct{}
}

// NewShutdown returns a shutdown that has not begun. delay is for load balancers to see that /readyz
// says no; requests and watches are how long what is in flight may take after it.
func NewShutdown(delay, requests, watches time.Duration) *Shutdown {
	return &Shutdown{delay: delay, inFlight: max(requests, watches), streams: make(chan struct{})}
}

// Streams is closed at step 3.
func (s *Shutdown) Streams() <-chan struct{} { return s.streams }

// Bound is the longest that it takes.
func (s *Shutdown) Bound() time.Duration {
	return s.delay + s.inFlight + exitGrace
}

// Run does steps 1 to 3. The generic server begins the last step when it returns.
func (s *Shutdown) Run(servers []*Server) {
	klog.InfoS("Shutting down", "exitWithin", s.Bound(), "delay", s.delay)
	time.AfterFunc(s.delay/2, s.Drain.Begin)
	<-time.After(s.delay)
	close(s.streams)
	ctx, cancel := context.WithTimeout(context.Background(), s.inFlight)
	defer cancel()
	var group sync.WaitGroup
	for _, server := range servers {
		group.Go(func() {
			if err := server.Shutdown(ctx); err != nil {
				// Not for the generic server, which would leave without flushing the audit log.
				klog.ErrorS(err, "Listener did not shut down in time")
			}
		})
	}
	group.Wait()
}

// Await returns how the generic server ended, at the latest when the bound has passed since ctx
// was done: then cut closes every connection, so that what is waited for ends.
func (s *Shutdown) Await(ctx context.Context, ended <-chan error, cut func()) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	const flush = time.Second
	select {
	case err := <-ended:
		return err
	case <-time.After(s.Bound() - flush):
	}
	klog.InfoS("Shutdown takes too long, closing every connection")
	cut()
	select {
	case err := <-ended:
		return err
	case <-time.After(flush):
		return fmt.Errorf("shutdown did not end within %s", s.Bound())
	}
}
