package manager

import (
	"context"
	"fmt"
	"net/http"
	"time"

	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	managementv1 "loft.sh/agent/apis/management/v1"
	"loft.sh/agent/generated/clientset/versioned"
	"loft.sh/agent/generated/informers/externalversions"
	generatedopenapi "loft.sh/agent/generated/openapi"
	"loft.sh/agent/pkg/audit"
	"loft.sh/agent/pkg/bearer"
	"loft.sh/agent/pkg/listen"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/authn"
	"loft.sh/agent/pkg/manager/bootstrap"
	"loft.sh/agent/pkg/manager/connection"
	"loft.sh/agent/pkg/manager/gateway"
	"loft.sh/agent/pkg/manager/registry"
	"loft.sh/agent/pkg/manager/tokens"
	"loft.sh/agent/pkg/statuserr"
)

// centralGrace is how much longer than a request a listener waits, so that the generic server's own,
// better-worded time-out arrives first.
const centralGrace = 5 * time.Second

// Config is the manager's configuration, ready to be completed.
type Config struct {
	generic   *genericserver.Config
	listeners listen.Outer
	// inner is the generic server's listener, within a limit; nil where its port is 0.
	inner          *listen.Listener
	maxConnections int
	// shutdown is what the listeners are told when the manager ends.
	shutdown     *listen.Shutdown
	certificates *listen.Certificates

	// namespace is the manager's own.
	namespace     string
	centralConfig *rest.Config
	centralClient kubernetes.Interface
	storageClient versioned.Interface
	informers     externalversions.SharedInformerFactory
	policy        *access.Policy

	tokens *tokens.Service
	leader *leader
	// secrets are those of the manager's namespace.
	secrets     informers.SharedInformerFactory
	connections *connection.Connections
	events      events.EventBroadcaster
	gateway     *gateway.Gateway
	activity    *authn.Activity
	// oidc is nil where there are no identity providers.
	oidc *authn.OIDC
	// door authenticates in front of the outer doors.
	door *authn.Filter
	// outerAPI is the management API behind door; building the generic server makes it.
	outerAPI http.Handler
}

// CompletedConfig can build a server.
type CompletedConfig struct {
	*Config
	generic genericserver.CompletedConfig
}

// NewConfig opens listeners and files and connects what o describes. What it starts in the background
// ends with ctx.
func NewConfig(ctx context.Context, o *Options) (*Config, error) {
	_, codecs := registry.Scheme()
	c := &Config{generic: genericserver.NewConfig(codecs)}
	for _, step := range []func(context.Context, *Options) error{
		c.applyCentral, c.applyGeneric, c.applyOpenAPI, c.applyAccess, c.applyTokens, c.applyLeader, c.applyClusters, c.applyTracing, c.applyDoor, c.applyGateway, c.applyListeners,
	} {
		if err := step(ctx, o); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// applyCentral connects to the central cluster.
func (c *Config) applyCentral(_ context.Context, o *Options) error {
	var err error
	c.namespace = o.Namespace
	if c.centralConfig, err = o.centralConfig(); err != nil {
		return err
	}
	if c.centralClient, err = kubernetes.NewForConfig(c.centralConfig); err != nil {
		return fmt.Errorf("central cluster client: %w", err)
	}
	if c.storageClient, err = versioned.NewForConfig(c.centralConfig); err != nil {
		return fmt.Errorf("custom resource client: %w", err)
	}
	c.informers = externalversions.NewSharedInformerFactory(c.storageClient, 0)
	return nil
}

// applyGeneric applies the options that the generic API server knows.
func (c *Config) applyGeneric(_ context.Context, o *Options) error {
	g := c.generic
	if err := o.ServerRun.ApplyTo(g); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if err := o.SecureServing.ApplyTo(&g.SecureServing, &g.LoopbackClientConfig); err != nil {
		return fmt.Errorf("inner HTTPS listener: %w", err)
	}
	if err := o.Authentication.ApplyTo(&g.Authentication, g.SecureServing, g.OpenAPIConfig); err != nil {
		return fmt.Errorf("authentication with the central cluster: %w", err)
	}
	if err := o.Authorization.ApplyTo(&g.Authorization); err != nil {
		return fmt.Errorf("authorization with the central cluster: %w", err)
	}
	if err := audit.ApplyTo(o.Audit, g); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	g.AuditPolicyRuleEvaluator = audit.WithoutBodies(g.AuditPolicyRuleEvaluator, managementv1.Resource("ownedaccesskeys"),
		managementv1.Resource("directclusterendpointtokens"), managementv1.Resource("clusters/kubeconfig"))
	c.shutdown = listen.NewShutdown(g.ShutdownDelayDuration, g.RequestTimeout+centralGrace, g.ShutdownWatchTerminationGracePeriod)
	return nil
}

func (c *Config) applyOpenAPI(context.Context, *Options) error {
	namer := openapinamer.NewDefinitionNamer(registry.Documented())
	c.generic.OpenAPIConfig = genericserver.DefaultOpenAPIConfig(generatedopenapi.GetOpenAPIDefinitions, namer)
	c.generic.OpenAPIConfig.Info.Title = "loft-manager"
	c.generic.OpenAPIV3Config = genericserver.DefaultOpenAPIV3Config(generatedopenapi.GetOpenAPIDefinitions, namer)
	c.generic.OpenAPIV3Config.Info.Title = "loft-manager"
	return nil
}

// applyAccess has people and the central cluster's RBAC decide together.
func (c *Config) applyAccess(context.Context, *Options) error {
	directory, err := access.NewDirectory(c.informers.Storage().V1())
	if err != nil {
		return err
	}
	g := c.generic
	c.policy = &access.Policy{Directory: directory, Authorizer: g.Authorization.Authorizer}
	g.Authorization.Authorizer = c.policy.Scoped(g.Authorization.Authorizer)
	return nil
}

// applyTokens prepares the issuing of direct endpoint tokens.
func (c *Config) applyTokens(_ context.Context, o *Options) error {
	config := tokens.Config{Client: c.centralClient, Namespace: o.Namespace, Policy: c.policy, Clock: clock.RealClock{}}
	if err := o.Tokens.ApplyTo(&config); err != nil {
		return err
	}
	var err error
	c.tokens, err = tokens.New(config)
	return err
}

// applyLeader prepares what one manager at a time does.
func (c *Config) applyLeader(_ context.Context, o *Options) error {
	c.leader = &leader{config: o.LeaderElection, client: c.centralClient, controllers: map[string]func(context.Context){
		"tokens": c.tokens.Lead,
	}}
	if o.BootstrapAdmin {
		first := &bootstrap.Administrator{Storage: c.storageClient.StorageV1(), Secrets: c.centralClient.CoreV1().Secrets(o.Namespace)}
		c.leader.controllers["first-administrator"] = first.Run
	}
	return nil
}

// applyDoor prepares who is let in through the outer listeners.
func (c *Config) applyDoor(ctx context.Context, o *Options) error {
	clients, err := o.Public.ClientAddresses()
	if err != nil {
		return err
	}
	storage := c.storageClient.StorageV1()
	c.activity = authn.NewActivity(storage.AccessKeys(), clock.RealClock{})
	if c.oidc, err = o.People.NewOIDC(ctx); err != nil {
		return err
	}
	a := &authn.Authenticator{
		Directory: c.policy.Directory,
		Keys:      &authn.Keys{Directory: c.policy.Directory, Storage: storage, Activity: c.activity, Clock: clock.RealClock{}},
		Reviewer:  bearer.NewReviewer(c.centralClient.AuthenticationV1().TokenReviews(), o.Authentication.CacheTTL, func(string) {}),
		Limiter:   o.People.NewLimiter(),
	}
	if c.oidc != nil {
		a.OIDC = c.oidc
	}
	g := c.generic
	c.door = &authn.Filter{
		Authenticator: a, Clients: clients, Resolver: genericserver.NewRequestInfoResolver(g),
		AuditSink: g.AuditBackend, AuditPolicy: g.AuditPolicyRuleEvaluator, Refuse: statuserr.NewWriter(g.Serializer),
	}
	g.BuildHandlerChainFunc = c.chains
	return nil
}

// applyTracing has all requests traced where that was asked for.
func (c *Config) applyTracing(ctx context.Context, o *Options) error {
	provider, err := o.Tracing.NewProvider(ctx, "loft-manager", c.generic.APIServerID)
	if provider == nil || err != nil {
		return err
	}
	// The generic server shuts it down when it ends.
	c.generic.TracerProvider = provider
	return nil
}

// applyListeners comes last, so that nothing that fails leaves a port open.
func (c *Config) applyListeners(_ context.Context, o *Options) error {
	g := c.generic
	c.maxConnections = o.Listen.MaxConnections
	if g.SecureServing != nil {
		c.inner = listen.NewListener(g.SecureServing.Listener, c.maxConnections, 0, listenMetrics)
		g.SecureServing.Listener = c.inner
	}
	c.certificates = listen.NewCertificates(listenMetrics)
	c.certificates.Add("inner", o.SecureServing.SecureServingOptions)
	if o.Public.Serving.BindPort != 0 {
		c.certificates.Add("public", o.Public.Serving)
	}
	var err error
	c.listeners, err = o.Public.Listen()
	return err
}

// Complete fills in defaults.
func (c *Config) Complete() CompletedConfig {
	return CompletedConfig{Config: c, generic: c.generic.Complete(nil)}
}
