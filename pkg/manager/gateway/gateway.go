package gateway

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/audit"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	storageinformers "loft.sh/agent/generated/informers/externalversions/storage/v1"
	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/manager/access"
)

// Config is what the gateway needs. Every field is required but where it says otherwise.
type Config struct {
	// Authenticator says who comes to the outer door.
	Authenticator door.Authenticator
	// Policy says who may use which cluster. Its Authorizer should not remember a yes for longer than
	// five seconds: open streams end as late.
	Policy *access.Policy
	// Clusters are those there are; the caller starts the informer.
	Clusters storageinformers.ClusterInformer
	// Secrets are those that Connections reads, as far as an informer has them. Nil: none does.
	Secrets     cache.SharedIndexInformer
	Connections Connections

	// AuditSink and AuditPolicy may be nil: nothing is recorded then.
	AuditSink   audit.Sink
	AuditPolicy audit.PolicyRuleEvaluator
	// Clients says whose word about a client's address is taken.
	Clients    doors.ClientAddresses
	Serializer runtime.NegotiatedSerializer
	// Timeout bounds a request that is not long-running.
	Timeout time.Duration
	// MaxInFlight and MaxMutatingInFlight bound requests that are not long-running; 0: nothing does.
	MaxInFlight, MaxMutatingInFlight int
	// PingPeriod is how long an upgraded connection may be silent towards the client until it is
	// pinged; 0: never. Idle ones are the agent's to end.
	PingPeriod time.Duration
	// InFlight counts requests that shutdown, and the audit sink, must wait for.
	InFlight genericfilters.RequestWaitGroup
	// Draining is closed when open streams are to end, and DrainFor how long that may take. Nil: they
	// never are.
	Draining <-chan struct{}
	DrainFor time.Duration
	// TracerProvider makes spans. Nil: nothing is traced.
	TracerProvider trace.TracerProvider
}

// Gateway carries requests to connected clusters. It serves the outer door.
type Gateway struct {
	http.Handler

	upstreams *upstreams
	keeper    *keeper
	lifetimes *door.Lifetimes
	inner     door.Config
}

// New builds the gateway. It must be called before the informer of the clusters starts, and answers 503
// until Run has read them.
func New(c *Config) (*Gateway, error) {
	g := &Gateway{}
	var err error
	if g.upstreams, err = newUpstreams(c); err != nil {
		return nil, err
	}
	g.keeper = newKeeper(c.Policy, g.upstreams)
	g.lifetimes = door.NewLifetimes(g.keeper, Program, clock.RealClock{})
	outer := g.door(c)
	outer.Name, outer.Authenticator = "gateway", c.Authenticator
	g.Handler = door.New(outer)
	g.inner = g.door(c)
	g.inner.Name, g.inner.Aggregated = "aggregated", true
	return g, nil
}

// door is what both doors have in common.
func (g *Gateway) door(c *Config) door.Config {
	return door.Config{
		Program: Program, Hint: Hint, Locate: g.locate, Access: g.keeper, Lifetimes: g.lifetimes, Metrics: Metrics,
		AuditSink: c.AuditSink, AuditPolicy: c.AuditPolicy, Clients: c.Clients, Serializer: c.Serializer,
		Timeout: c.Timeout, MaxInFlight: c.MaxInFlight, MaxMutatingInFlight: c.MaxMutatingInFlight,
		PingPeriod: c.PingPeriod, InFlight: c.InFlight, Draining: c.Draining, DrainFor: c.DrainFor,
		TracerProvider: c.TracerProvider,
	}
}

// Inner is the door for who comes through the aggregator of the central cluster, to ManagementPrefix.
// The authenticator trusts front-proxy headers.
func (g *Gateway) Inner(authenticator door.Authenticator) http.Handler {
	inner := g.inner
	inner.Authenticator = authenticator
	return door.New(inner)
}

// Ready says whether clusters have been read.
func (g *Gateway) Ready() bool { return g.upstreams.ready() }

// Run keeps connections, and ends streams whose person may not have them any more, until ctx is done;
// where streams are to be drained it goes on until they are.
func (g *Gateway) Run(ctx context.Context) {
	// Requests are answered, and streams open, for a while after ctx is done.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go g.upstreams.run(background, g.keeper.forget)
	go g.keeper.run(background)
	g.lifetimes.Run(ctx)
}
