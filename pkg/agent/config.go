package agent

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	generatedopenapi "loft.sh/agent/generated/openapi"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/agent/authn"
	"loft.sh/agent/pkg/agent/direct"
	agentproof "loft.sh/agent/pkg/agent/proof"
	"loft.sh/agent/pkg/agent/registry"
	"loft.sh/agent/pkg/agent/registry/sleepmodeconfigs"
	"loft.sh/agent/pkg/agent/registry/spaces"
	"loft.sh/agent/pkg/agent/sleepmode"
	"loft.sh/agent/pkg/agent/trust"
	"loft.sh/agent/pkg/audit"
	"loft.sh/agent/pkg/bearer"
	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/listen"
	"loft.sh/agent/pkg/proof"
	"loft.sh/agent/pkg/proxy"
	"loft.sh/agent/pkg/statuserr"
)

// hostGrace is how much longer than the API server the agent waits for an answer, so that the
// API server's own, better-worded time-out arrives first.
const hostGrace = 5 * time.Second

// Config is the agent's configuration, ready to be completed.
type Config struct {
	generic   *genericserver.Config
	listeners listen.Outer
	// inner is the generic server's listener, within a limit; nil where its port is 0.
	inner          *listen.Listener
	maxConnections int
	hostConfig     *rest.Config
	hostClient     kubernetes.Interface
	verifier       *accesstoken.Verifier
	trust          *trust.Loader
	// informers hold what the agent keeps of the host cluster in memory.
	informers informers.SharedInformerFactory
	sleep     *sleepmode.Mode
	spaces    *spaces.REST
	configs   *sleepmodeconfigs.REST
	// certificates are those that the listeners serve with.
	certificates *listen.Certificates
	// frontProxy is nil where flags say whom the inner listener trusts.
	frontProxy *frontProxy
	// door is what both doors have in common.
	door door.Config
	// shutdown is what the listeners are told when the agent ends.
	shutdown  *listen.Shutdown
	forwarder *proxy.Forwarder
}

// CompletedConfig can build a server.
type CompletedConfig struct {
	*Config
	generic genericserver.CompletedConfig
}

// NewConfig opens listeners and files and connects what o describes.
func NewConfig(o *Options) (*Config, error) {
	_, codecs := registry.Scheme()
	c := &Config{generic: genericserver.NewConfig(codecs), verifier: accesstoken.NewVerifier(clock.RealClock{})}
	if err := c.host(o); err != nil {
		return nil, err
	}
	if err := c.applyGeneric(o); err != nil {
		return nil, err
	}
	namer := openapinamer.NewDefinitionNamer(registry.Documented())
	c.generic.OpenAPIConfig = genericserver.DefaultOpenAPIConfig(generatedopenapi.GetOpenAPIDefinitions, namer)
	c.generic.OpenAPIConfig.Info.Title = "loft-agent"
	c.generic.OpenAPIV3Config = genericserver.DefaultOpenAPIV3Config(generatedopenapi.GetOpenAPIDefinitions, namer)
	c.generic.OpenAPIV3Config.Info.Title = "loft-agent"
	if err := c.applySpaces(); err != nil {
		return nil, err
	}
	if err := c.applyDoors(o); err != nil {
		return nil, err
	}
	if err := c.applyTracing(o); err != nil {
		return nil, err
	}
	return c, nil
}

// applyTracing has all requests traced where that was asked for.
func (c *Config) applyTracing(o *Options) error {
	provider, err := o.Tracing.NewProvider(context.Background(), "loft-agent", c.generic.APIServerID)
	if provider == nil || err != nil {
		return err
	}
	// The generic server shuts it down when it ends.
	c.generic.TracerProvider, c.door.TracerProvider = provider, provider
	return nil
}

// host connects to the host cluster.
func (c *Config) host(o *Options) error {
	var err error
	if c.hostConfig, err = o.hostConfig(); err != nil {
		return err
	}
	if c.hostClient, err = kubernetes.NewForConfig(c.hostConfig); err != nil {
		return fmt.Errorf("host cluster client: %w", err)
	}
	c.informers = informers.NewSharedInformerFactoryWithOptions(c.hostClient, 0, informers.WithTransform(sleepmode.Strip))
	if c.sleep, err = o.Sleep.New(c.hostConfig, c.hostClient, c.informers.Core().V1().Namespaces()); err != nil {
		return err
	}
	c.trust, err = o.Trust.NewLoader(c.verifier, c.hostClient)
	return err
}

// applyGeneric applies the options that the generic API server knows.
func (c *Config) applyGeneric(o *Options) error {
	g := c.generic
	if err := o.ServerRun.ApplyTo(g); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if err := o.SecureServing.ApplyTo(&g.SecureServing, &g.LoopbackClientConfig); err != nil {
		return fmt.Errorf("inner HTTPS listener: %w", err)
	}
	// Clients of the inner listener are the aggregator and the cluster's own; the generic server
	// ends those that say nothing.
	c.maxConnections = o.Listen.MaxConnections
	if g.SecureServing != nil {
		c.inner = listen.NewListener(g.SecureServing.Listener, c.maxConnections, 0, listenMetrics)
		g.SecureServing.Listener = c.inner
	}
	var err error
	if c.frontProxy, err = applyAuthentication(o.Authentication, g); err != nil {
		return fmt.Errorf("authentication with the host cluster: %w", err)
	}
	if err := o.Authorization.ApplyTo(&g.Authorization); err != nil {
		return fmt.Errorf("authorization with the host cluster: %w", err)
	}
	g.Authorization.Authorizer = spaces.NewAuthorizer(g.Authorization.Authorizer)
	if err := audit.ApplyTo(o.Audit, g); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	c.shutdown = listen.NewShutdown(g.ShutdownDelayDuration, g.RequestTimeout+hostGrace, g.ShutdownWatchTerminationGracePeriod)
	c.certificates = listen.NewCertificates(listenMetrics)
	c.certificates.Add("inner", o.SecureServing.SecureServingOptions)
	if o.Direct.Serving.BindPort != 0 {
		c.certificates.Add("direct", o.Direct.Serving)
	}
	if c.listeners, err = o.Direct.Listen(); err != nil {
		return err
	}
	return nil
}

// applyDoors prepares what the doors share.
func (c *Config) applyDoors(o *Options) error {
	upstream, err := proxy.NewUpstream(c.hostConfig)
	if err != nil {
		return err
	}
	clients, err := o.Direct.ClientAddresses()
	if err != nil {
		return err
	}
	g := c.generic
	c.forwarder = proxy.New(upstream, statuserr.NewWriter(g.Serializer))
	c.forwarder.OnFailure = direct.Metrics.UpstreamFailed
	access := direct.NewAccess(g.Authorization.Authorizer, c.verifier)
	c.door = door.Config{
		Name: direct.Direct, Program: direct.Program, Hint: direct.Hint,
		Locate:              door.At(direct.ClusterPrefix, c.forwarder),
		Access:              access,
		Impersonation:       g.Authorization.Authorizer,
		AuditSink:           g.AuditBackend,
		AuditPolicy:         g.AuditPolicyRuleEvaluator,
		Activity:            sleepmode.Recorder{Book: c.sleep.Book, Next: direct.NewCounter(direct.Direct)},
		Sleep:               c.sleep.Gate,
		Lifetimes:           door.NewLifetimes(access, direct.Program, clock.RealClock{}),
		Metrics:             direct.Metrics,
		Clients:             clients,
		Serializer:          g.Serializer,
		Timeout:             g.RequestTimeout + hostGrace,
		MaxInFlight:         g.MaxRequestsInFlight,
		MaxMutatingInFlight: g.MaxMutatingRequestsInFlight,
		PingPeriod:          o.Direct.PingPeriod,
		IdleTimeout:         c.idleTimeout(o.Direct.IdleTimeout),
		DrainFor:            g.ShutdownWatchTerminationGracePeriod,
		InFlight:            g.NonLongRunningRequestWaitGroup,
		Draining:            c.shutdown.Streams(),
	}
	reviewer := bearer.NewReviewer(c.hostClient.AuthenticationV1().TokenReviews(), o.Authentication.CacheTTL, authn.CountReview)
	g.BuildHandlerChainFunc = c.innerChain(&authn.Authenticator{
		Direct: c.verifier, Reviewer: reviewer, Certificates: g.Authentication.Authenticator,
	})
	c.door.Authenticator = &authn.Authenticator{Direct: c.verifier, Reviewer: reviewer, Certificates: c.outerCertificates()}
	return nil
}

// proofs answers the manager's question which cluster is behind an endpoint.
func (c *Config) proofs() http.Handler {
	return agentproof.New(agentproof.Config{
		Authenticator: c.door.Authenticator, Tokens: c.hostClient.CoreV1().ServiceAccounts(proof.Namespace), Clients: c.door.Clients,
		AuditSink: c.door.AuditSink, AuditPolicy: c.door.AuditPolicy, Refuse: statuserr.NewWriter(c.door.Serializer),
	})
}

// idleTimeout is the trust bundle's where it has one, since the manager decides for the cluster; else
// the flag's.
func (c *Config) idleTimeout(flag time.Duration) func() time.Duration {
	return func() time.Duration {
		if bundle := c.verifier.Bundle(); bundle != nil && bundle.StreamingConnectionIdleTimeoutSeconds != nil {
			return time.Duration(*bundle.StreamingConnectionIdleTimeoutSeconds) * time.Second
		}
		return flag
	}
}

// outerCertificates takes client certificates of the CA named by flag alone.
func (c *Config) outerCertificates() authenticator.Request {
	if c.listeners.ClientCA == nil {
		return nil
	}
	return x509request.NewDynamic(c.listeners.ClientCA.VerifyOptions, x509request.CommonNameUserConversion)
}

// innerChain puts door 2 before the generic server's own chain: a request below the proxy
// subresource is an inner request from its first filter on.
func (c *Config) innerChain(a *authn.Authenticator) func(http.Handler, *genericserver.Config) http.Handler {
	return func(apiHandler http.Handler, g *genericserver.Config) http.Handler {
		api := genericserver.DefaultBuildHandlerChain(sleepmode.WithActivity(apiHandler, c.sleep.Book), g)
		door2 := c.door
		door2.Name, door2.Locate = direct.Aggregated, door.At(direct.ProxyPrefix, c.forwarder)
		door2.Aggregated, door2.Marked = true, true
		door2.Authenticator, door2.Activity = a, direct.NewCounter(direct.Aggregated)
		handler := door.New(door2)
		if c.frontProxy != nil {
			handler = c.frontProxy.guard(handler, statuserr.NewWriter(g.Serializer))
		}
		return c.shutdown.Drain.Handler(innerRoutes(handler, api))
	}
}

// Complete fills in defaults.
func (c *Config) Complete() CompletedConfig {
	return CompletedConfig{Config: c, generic: c.generic.Complete(nil)}
}
