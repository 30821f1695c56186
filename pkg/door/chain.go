package door

import (
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	genericfilters "k8s.io/apiserver/pkg/server/filters"

	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/observe"
	"loft.sh/agent/pkg/statuserr"
)

// Config is what a door needs. Every field is required but where it says otherwise.
type Config struct {
	// Name is how metrics, logs and spans call the door.
	Name string
	// Program is how refusals call who serves it, such as "agent".
	Program string
	// Hint says where the door is to who knocks elsewhere.
	Hint string
	// Aggregated is set where the aggregator is in front: it is trusted with the client's address
	// and the audit ID, and answers browsers itself.
	Aggregated bool
	// Marked is set where every answer bears doors.AgentHeader.
	Marked bool

	Locate        Locator
	Authenticator Authenticator
	Access        Access
	// Impersonation decides whom a client may impersonate. Nil: the door behind decides, an agent's.
	Impersonation authorizer.Authorizer
	// AuditSink and AuditPolicy may be nil: nothing is recorded then.
	AuditSink   audit.Sink
	AuditPolicy audit.PolicyRuleEvaluator
	// Activity may be nil: nobody is told.
	Activity Recorder
	// Sleep may be nil: nothing sleeps.
	Sleep      Sleeper
	Lifetimes  *Lifetimes
	Clients    doors.ClientAddresses
	Serializer runtime.NegotiatedSerializer
	Metrics    *observe.Metrics
	// Timeout bounds a request that is not long-running.
	Timeout time.Duration
	// MaxInFlight and MaxMutatingInFlight bound requests that are not long-running.
	MaxInFlight, MaxMutatingInFlight int
	// PingPeriod is how long an upgraded connection may be silent towards the client until it is
	// pinged; 0: never.
	PingPeriod time.Duration
	// IdleTimeout is how long an upgraded connection may carry no payload; 0: for ever. Nil: every one
	// may for ever.
	IdleTimeout func() time.Duration
	// InFlight counts requests that shutdown, and the audit sink, must wait for.
	InFlight genericfilters.RequestWaitGroup
	// Draining is closed when the program wants its open streams to end, so that their clients open
	// them elsewhere; DrainFor is how long that may take. Nil: it never does.
	Draining <-chan struct{}
	DrainFor time.Duration
	// TracerProvider makes spans. Nil: nothing is traced.
	TracerProvider trace.TracerProvider

	refuse   statuserr.Writer
	requests *observe.Requests
	// patience is placeWait, or shorter in tests.
	patience time.Duration
}

// filter is one link of the chain.
type filter func(http.Handler) http.Handler

// New returns the door's handler.
func New(c Config) http.Handler {
	c.refuse = statuserr.NewWriter(c.Serializer)
	if c.patience == 0 {
		c.patience = placeWait
	}
	c.requests = c.Metrics.Requests(c.Name)
	c.Lifetimes.drainOn(c.Draining, c.DrainFor)
	var handler http.Handler = http.HandlerFunc(c.forward)
	filters := c.chain()
	for i := len(filters) - 1; i >= 0; i-- {
		handler = filters[i](handler)
	}
	return handler
}

// chain lists the filters in the order a request meets them.
func (c *Config) chain() []filter {
	return []filter{
		// On every answer, refusals too.
		c.withMark,
		// Before anything is refused: refusals, too, must be readable by a browser.
		c.withCORS,
		// Headers that name an address are believed or removed before audit reads them.
		c.withClientAddress,
		// The audit ID stands in every answer that follows, and in the API server's record.
		genericapifilters.WithAuditInit,
		genericapifilters.WithRequestReceivedTimestamp,
		// From here on the request is the inner one.
		c.withTarget,
		// Around everything that answers, so that refusals count, and a crash ends here with an answer.
		c.withMetrics,
		// Before anything that could wait.
		c.withDeadline,
		func(h http.Handler) http.Handler { return genericfilters.WithWaitGroup(h, longRunning, c.InFlight) },
		// Records its refusals itself, since the audit filter needs to know the user.
		c.withAuthentication,
		// Around everything that decides by who the user is.
		c.withAudit,
		// Behind authentication, so that strangers cost no spans.
		c.withTracing,
		// Asks for the inner request, as the API server would; sets the user that is forwarded.
		c.withImpersonation,
		// Behind authentication, so that strangers take no place; before the questions to the host.
		c.withFlowControl,
		// Asks for the person who authenticated.
		c.withAuthorization,
		// Only what was allowed counts as activity.
		c.withActivity,
		// Behind what has just woken it.
		c.withSleep,
		// Last, so that what a stream holds while it is open is as little as can be.
		c.withLifetime,
	}
}

func (c *Config) withAudit(h http.Handler) http.Handler {
	return genericapifilters.WithAudit(h, c.AuditSink, c.AuditPolicy, longRunning)
}
