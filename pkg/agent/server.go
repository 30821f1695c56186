package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"

	"loft.sh/agent/pkg/agent/direct"
	"loft.sh/agent/pkg/agent/registry"
	"loft.sh/agent/pkg/agent/trust"
)

// Server is the agent, built and not yet running.
type Server struct {
	generic      *genericserver.GenericAPIServer
	listeners    direct.Listeners
	outer        http.Handler
	trust        *trust.Loader
	certificates *certificates
	status       *status
	// drain is how long the outer listeners still serve after shutdown began.
	drain time.Duration
}

// New builds the server.
func (c CompletedConfig) New() (*Server, error) {
	generic, err := c.generic.New("loft-agent", genericserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("generic API server: %w", err)
	}
	s := &Server{
		generic: generic, listeners: c.listeners, trust: c.trust, certificates: c.certificates,
		status: newStatus(c.hostClient, c.trust, c.certificates), drain: c.generic.ShutdownDelayDuration,
	}
	group := registry.NewAPIGroupInfo(s.status)
	if err := generic.InstallAPIGroup(&group); err != nil {
		return nil, fmt.Errorf("install API group cluster.loft.sh: %w", err)
	}
	if err := generic.AddReadyzChecks(s.checks(c.hostClient)...); err != nil {
		return nil, fmt.Errorf("readiness checks: %w", err)
	}
	if err := s.addLoops(c.door.Lifetimes); err != nil {
		return nil, err
	}
	door1 := c.door
	door1.Prefix = direct.ClusterPrefix
	s.outer = outerRoutes(generic.Handler.Director, direct.New(door1), c.door.Serializer)
	return s, nil
}

// addLoops runs what goes on in the background from after the start until the server stops.
func (s *Server) addLoops(lifetimes *direct.Lifetimes) error {
	for name, loop := range map[string]func(context.Context){
		"trust-bundle":        s.trust.Run,
		"serving-certificate": s.certificates.run,
		"host-status":         s.status.run,
		"token-lifetimes":     lifetimes.Run,
	} {
		if err := s.generic.AddPostStartHook(name, func(hook genericserver.PostStartHookContext) error {
			go loop(hook.Context)
			return nil
		}); err != nil {
			return fmt.Errorf("hook %q: %w", name, err)
		}
	}
	return nil
}

// Run serves until ctx is done and everything in flight has ended.
func (s *Server) Run(ctx context.Context) error {
	prepared := s.generic.PrepareRun()
	stopOuter := make(chan struct{})
	stopped, err := s.serveOuter(stopOuter)
	if err != nil {
		close(stopOuter)
		return err
	}
	context.AfterFunc(ctx, func() {
		// Load balancers need this long to see that /readyz says no.
		time.AfterFunc(s.drain, func() { close(stopOuter) })
	})
	err = prepared.RunWithContext(ctx)
	for _, done := range stopped {
		<-done
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// serveOuter starts the outer listeners and returns what closes when each has shut down.
func (s *Server) serveOuter(stop <-chan struct{}) ([]<-chan struct{}, error) {
	var stopped []<-chan struct{}
	timeout := s.generic.ShutdownTimeout
	if s.listeners.Secure != nil {
		done, _, err := s.listeners.Secure.Serve(s.outer, timeout, stop)
		if err != nil {
			return stopped, fmt.Errorf("direct HTTPS listener: %w", err)
		}
		stopped = append(stopped, done)
	}
	if s.listeners.Insecure != nil {
		// The limits are those of the generic server's HTTPS listeners.
		server := &http.Server{
			Handler: s.outer, MaxHeaderBytes: 1 << 20,
			IdleTimeout: 90 * time.Second, ReadHeaderTimeout: 32 * time.Second,
		}
		done, _, err := genericserver.RunServer(server, s.listeners.Insecure, timeout, stop)
		if err != nil {
			return stopped, fmt.Errorf("direct HTTP listener: %w", err)
		}
		klog.InfoS("Serving plain HTTP to an ingress", "address", s.listeners.Insecure.Addr())
		stopped = append(stopped, done)
	}
	return stopped, nil
}
