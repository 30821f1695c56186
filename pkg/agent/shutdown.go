package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"

	"loft.sh/agent/pkg/agent/listen"
)

// exitGrace is for closing connections and flushing the audit log after the last request: the
// generic server gives HTTP/2 clients two seconds to leave.
const exitGrace = 5 * time.Second

// shutdown is how the agent ends, so that nobody notices but by opening watches anew:
//
//  1. at once: /readyz says no, everything is served;
//  2. after half of the delay: every answer is the last one of its connection, so that clients
//     are elsewhere before a connection that is kept is closed under them;
//  3. after the delay: the outer listeners close, open streams are told to end, and requests in
//     flight are waited for;
//  4. the generic server does the same for the inner listener and flushes the audit log.
type shutdown struct {
	// delay is for load balancers to see that /readyz says no.
	delay time.Duration
	// requests and watches are how long what is in flight may take after the delay.
	requests, watches time.Duration
	// drain is begun at step 2, and streams closed at step 3.
	drain   *listen.Drain
	streams chan struct{}
}

// ShutdownBound is the longest that an agent with these options takes to end.
func (o *Options) ShutdownBound() time.Duration {
	return newShutdown(&genericserver.Config{
		ShutdownDelayDuration: o.ServerRun.ShutdownDelayDuration, RequestTimeout: o.ServerRun.RequestTimeout,
		ShutdownWatchTerminationGracePeriod: o.ServerRun.ShutdownWatchTerminationGracePeriod,
	}).bound()
}

func newShutdown(g *genericserver.Config) *shutdown {
	return &shutdown{
		delay: g.ShutdownDelayDuration, requests: g.RequestTimeout + hostGrace, watches: g.ShutdownWatchTerminationGracePeriod,
		drain: &listen.Drain{}, streams: make(chan struct{}),
	}
}

// bound is the longest that the agent takes to end.
func (s *shutdown) bound() time.Duration {
	return s.delay + max(s.requests, s.watches) + exitGrace
}

// run does steps 1 to 3. The generic server begins the last step when it returns.
func (s *shutdown) run(servers []*listen.Server) {
	klog.InfoS("Shutting down", "exitWithin", s.bound(), "delay", s.delay)
	time.AfterFunc(s.delay/2, s.drain.Begin)
	<-time.After(s.delay)
	close(s.streams)
	ctx, cancel := context.WithTimeout(context.Background(), max(s.requests, s.watches))
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

// await returns how the generic server ended, at the latest when the bound has passed since ctx
// was done: then cut closes every connection, so that what is waited for ends.
func (s *shutdown) await(ctx context.Context, ended <-chan error, cut func()) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	const flush = time.Second
	select {
	case err := <-ended:
		return err
	case <-time.After(s.bound() - flush):
	}
	klog.InfoS("Shutdown takes too long, closing every connection")
	cut()
	select {
	case err := <-ended:
		return err
	case <-time.After(flush):
		return fmt.Errorf("shutdown did not end within %s", s.bound())
	}
}
