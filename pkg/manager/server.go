package manager

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	genericserver "k8s.io/apiserver/pkg/server"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/klog/v2"

	"loft.sh/agent/pkg/endpoint"
	"loft.sh/agent/pkg/listen"
	"loft.sh/agent/pkg/manager/registry"
	"loft.sh/agent/pkg/manager/registry/clusters"
)

// loopsGrace is how long the background work may take to end. A request to the central cluster that
// is under way takes less.
const loopsGrace = 5 * time.Second

// Server is the manager, built and not yet running.
type Server struct {
	config  CompletedConfig
	generic *genericserver.GenericAPIServer
	// outer are the servers of the outer listeners.
	outer []*listen.Server
	// loops are what goes on in the background, until ending is closed.
	loops  sync.WaitGroup
	ending chan struct{}
}

// New builds the server.
func (c CompletedConfig) New() (*Server, error) {
	generic, err := c.generic.New("loft-manager", genericserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("generic API server: %w", err)
	}
	s := &Server{config: c, generic: generic, ending: make(chan struct{})}
	group := registry.NewAPIGroupInfo(registry.Config{
		Storage: c.storageClient.StorageV1().RESTClient(), Policy: c.policy, Issuer: c.tokens.Issuer,
		ValidateAnnotations: endpoint.ValidateAnnotations,
		Secrets:             clusters.Secrets{Client: c.centralClient.CoreV1().Secrets(c.namespace), Namespace: c.namespace},
	})
	if err := generic.InstallAPIGroup(&group); err != nil {
		return nil, fmt.Errorf("install API group management.loft.sh: %w", err)
	}
	if err := generic.AddReadyzChecks(s.checks()...); err != nil {
		return nil, fmt.Errorf("readiness checks: %w", err)
	}
	if err := s.addLoops(); err != nil {
		return nil, err
	}
	s.outer = c.outerServers(outerRoutes(handlers{
		own: generic.Handler.Director, version: http.HandlerFunc(serveVersion),
		management: c.outerAPI, gateway: c.withPeople(c.Config.generic)(c.gateway),
	}, generic.Serializer))
	closeOuter := func() error {
		c.shutdown.Run(s.outer)
		s.awaitLoops()
		return nil
	}
	if err := generic.AddPreShutdownHook("outer-listeners", closeOuter); err != nil {
		return nil, fmt.Errorf("hook %q: %w", "outer-listeners", err)
	}
	return s, nil
}

// checks are the manager's own readiness checks.
func (s *Server) checks() []healthz.HealthChecker {
	return []healthz.HealthChecker{
		healthz.NamedCheck("custom-resources", func(*http.Request) error {
			if !s.config.policy.Synced() {
				return errors.New("the custom resources storage.loft.sh have not been read yet; are their definitions applied?")
			}
			return nil
		}),
		healthz.NamedCheck("signing-keys", func(*http.Request) error {
			_, err := s.config.tokens.Keys.Ring()
			return err
		}),
	}
}

// addLoops runs what goes on in the background from after the start until the server stops.
func (s *Server) addLoops() error {
	c := s.config
	loops := map[string]func(context.Context){
		"informers":           c.startInformers,
		"events":              c.recordEvents,
		"gateway":             c.gateway.Run,
		"serving-certificate": c.certificates.Run,
		"last-activity":       c.activity.Run,
		"tokens":              c.tokens.Run,
		"controllers":         c.leader.run,
	}
	if c.oidc != nil {
		loops["identity-providers"] = c.oidc.Run
	}
	for name, loop := range loops {
		if err := s.generic.AddPostStartHook(name, func(hook genericserver.PostStartHookContext) error {
			s.loops.Go(func() { s.loop(hook.Context, loop) })
			return nil
		}); err != nil {
			return fmt.Errorf("hook %q: %w", name, err)
		}
	}
	return nil
}

// loop runs one of the loops. The hook's own context ends only after the hooks before the shutdown, and
// they wait for the loops. A loop may return and leave something running with its context.
func (s *Server) loop(ctx context.Context, loop func(context.Context)) {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		defer stop()
		select {
		case <-s.ending:
		case <-ctx.Done():
		}
	}()
	loop(ctx)
}

// awaitLoops ends what goes on in the background, and waits until it has: the lease is
// given up, and what is left is written.
func (s *Server) awaitLoops() {
	close(s.ending)
	ended := make(chan struct{})
	go func() {
		s.loops.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(loopsGrace):
		klog.InfoS("Background work did not end in time", "waited", loopsGrace)
	}
}

// outerServers serves handler on the outer listeners.
func (c CompletedConfig) outerServers(handler http.Handler) []*listen.Server {
	if c.generic.GoawayChance > 0 {
		handler = genericfilters.WithProbabilisticGoaway(handler, c.generic.GoawayChance)
	}
	handler = c.shutdown.Drain.Handler(handler)
	timeout := c.generic.RequestTimeout + centralGrace
	var servers []*listen.Server
	if secure := c.listeners.Secure; secure != nil {
		servers = append(servers, &listen.Server{
			Name: "public HTTPS", Handler: handler, Secure: secure, Timeout: timeout,
			Listener: listen.NewListenerFor(secure.Listener, c.maxConnections, listenMetrics),
		})
	}
	if insecure := c.listeners.Insecure; insecure != nil {
		servers = append(servers, &listen.Server{
			Name: "public HTTP", Handler: handler, Timeout: timeout,
			Listener: listen.NewListenerFor(insecure, c.maxConnections, listenMetrics),
		})
	}
	return servers
}

// Run serves until ctx is done and everything in flight has ended, or the bound of the shutdown
// has passed. It ends early where a listener fails.
func (s *Server) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// Certificates are read again until the very end.
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	prepared := s.generic.PrepareRun()
	defer s.closeConnections()
	for _, server := range s.outer {
		if err := server.Start(serving, stop); err != nil {
			return err
		}
	}
	if inner := s.config.inner; inner != nil {
		go inner.EndDead(serving)
	}
	ended := make(chan error, 1)
	go func() { ended <- prepared.RunWithContext(ctx) }()
	err := s.config.shutdown.Await(ctx, ended, s.closeConnections)
	if failure := context.Cause(ctx); failure != nil && !errors.Is(failure, context.Canceled) {
		err = errors.Join(failure, err)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// closeConnections closes every connection of every listener.
func (s *Server) closeConnections() {
	if inner := s.config.inner; inner != nil {
		inner.CloseConnections()
	}
	for _, server := range s.outer {
		server.Close()
	}
}
