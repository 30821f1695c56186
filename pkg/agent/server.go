package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	genericserver "k8s.io/apiserver/pkg/server"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/client-go/informers"

	"loft.sh/agent/pkg/agent/registry"
	"loft.sh/agent/pkg/agent/sleepmode"
	"loft.sh/agent/pkg/agent/trust"
	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/heap"
	"loft.sh/agent/pkg/listen"
)

// Server is the agent, built and not yet running.
type Server struct {
	generic      *genericserver.GenericAPIServer
	trust        *trust.Loader
	certificates *listen.Certificates
	credential   *hostCredential
	status       *status
	shutdown     *listen.Shutdown
	frontProxy   *frontProxy
	// inner is the generic server's listener, outer are the servers of the others.
	inner *listen.Listener
	outer []*listen.Server
	heap  *heap.Keeper
}

// New builds the server.
func (c CompletedConfig) New() (*Server, error) {
	generic, err := c.generic.New("loft-agent", genericserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("generic API server: %w", err)
	}
	s := &Server{
		generic: generic, trust: c.trust, certificates: c.certificates, shutdown: c.shutdown, inner: c.inner, frontProxy: c.frontProxy,
		credential: &hostCredential{config: c.hostConfig}, status: newStatus(c.hostClient, c.trust, c.certificates),
		heap: heap.New(),
	}
	group := registry.NewAPIGroupInfo(s.status, c.spaces, c.configs)
	if err := generic.InstallAPIGroup(&group); err != nil {
		return nil, fmt.Errorf("install API group cluster.loft.sh: %w", err)
	}
	if err := generic.AddReadyzChecks(s.checks(c.hostClient)...); err != nil {
		return nil, fmt.Errorf("readiness checks: %w", err)
	}
	if err := s.addLoops(c.door.Lifetimes, c.informers, c.sleep); err != nil {
		return nil, err
	}
	s.outer = c.outerServers(outerRoutes(generic.Handler.Director, door.New(c.door), c.proofs(), c.door.Serializer))
	closeOuter := func() error { s.shutdown.Run(s.outer); return nil }
	if err := generic.AddPreShutdownHook("outer-listeners", closeOuter); err != nil {
		return nil, fmt.Errorf("hook %q: %w", "outer-listeners", err)
	}
	return s, nil
}

// addLoops runs what goes on in the background from after the start until the server stops.
func (s *Server) addLoops(lifetimes *door.Lifetimes, held informers.SharedInformerFactory, sleep *sleepmode.Mode) error {
	loops := map[string]func(context.Context){
		"trust-bundle":        s.trust.Run,
		"serving-certificate": s.certificates.Run,
		"host-credential":     s.credential.run,
		"host-status":         s.status.run,
		"token-lifetimes":     lifetimes.Run,
		"host-informers":      held.StartWithContext,
		"sleep-mode":          sleep.Run,
		"heap":                s.heap.Run,
	}
	if s.frontProxy != nil {
		loops["front-proxy"] = s.frontProxy.run
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
	var servers []*listen.Server
	if secure := c.listeners.Secure; secure != nil {
		servers = append(servers, &listen.Server{
			Name: "direct HTTPS", Handler: handler, Secure: secure, Timeout: c.door.Timeout,
			Listener: listen.NewListenerFor(secure.Listener, c.maxConnections, listenMetrics),
		})
	}
	if insecure := c.listeners.Insecure; insecure != nil {
		servers = append(servers, &listen.Server{
			Name: "direct HTTP", Handler: handler, Timeout: c.door.Timeout,
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
	if s.inner != nil {
		go s.inner.EndDead(serving)
	}
	ended := make(chan error, 1)
	go func() { ended <- prepared.RunWithContext(ctx) }()
	err := s.shutdown.Await(ctx, ended, s.closeConnections)
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
	if s.inner != nil {
		s.inner.CloseConnections()
	}
	for _, server := range s.outer {
		server.Close()
	}
}
