package manager

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	genericserver "k8s.io/apiserver/pkg/server"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/apiserver/pkg/server/healthz"

	"loft.sh/agent/pkg/endpoint"
	"loft.sh/agent/pkg/listen"
	"loft.sh/agent/pkg/manager/registry"
)

// Server is the manager, built and not yet running.
type Server struct {
	config  CompletedConfig
	generic *genericserver.GenericAPIServer
	// outer are the servers of the outer listeners.
	outer []*listen.Server
}

// New builds the server.
func (c CompletedConfig) New() (*Server, error) {
	generic, err := c.generic.New("loft-manager", genericserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("generic API server: %w", err)
	}
	s := &Server{config: c, generic: generic}
	group := registry.NewAPIGroupInfo(registry.Config{
		Storage: c.storageClient.StorageV1().RESTClient(), Policy: c.policy, Issuer: noIssuer{},
		ValidateAnnotations: endpoint.ValidateAnnotations,
	})
	if err := generic.InstallAPIGroup(&group); err != nil {
		return nil, fmt.Errorf("install API group management.loft.sh: %w", err)
	}
	if err := generic.AddReadyzChecks(healthz.NamedCheck("custom-resources", s.checkResources)); err != nil {
		return nil, fmt.Errorf("readiness checks: %w", err)
	}
	if err := s.addLoops(); err != nil {
		return nil, err
	}
	s.outer = c.outerServers(outerRoutes(handlers{
		own: generic.Handler.Director, version: http.HandlerFunc(serveVersion),
		management: c.outerAPI, gateway: noGateway(generic.Serializer),
	}, generic.Serializer))
	closeOuter := func() error { c.shutdown.Run(s.outer); return nil }
	if err := generic.AddPreShutdownHook("outer-listeners", closeOuter); err != nil {
		return nil, fmt.Errorf("hook %q: %w", "outer-listeners", err)
	}
	return s, nil
}

// checkResources says whether the custom resources have been read.
func (s *Server) checkResources(*http.Request) error {
	if !s.config.policy.Synced() {
		return errors.New("the custom resources storage.loft.sh have not been read yet; are their definitions applied?")
	}
	return nil
}

// addLoops runs what goes on in the background from after the start until the server stops.
func (s *Server) addLoops() error {
	c := s.config
	loops := map[string]func(context.Context){
		"informers":           func(ctx context.Context) { c.informers.StartWithContext(ctx) },
		"serving-certificate": c.certificates.Run,
		"last-activity":       c.activity.Run,
	}
	if c.oidc != nil {
		loops["identity-providers"] = c.oidc.Run
	}
	for name, loop := range loops {
		if err := s.generic.AddPostStartHook(name, func(hook genericserver.PostStartHookContext) error {
			go loop(hook.Context)
			return nil
		}); err != nil {
			return fmt.Errorf("hook %q: %w", name, err)
		}
	}
	return nil
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
