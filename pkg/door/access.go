package door

import (
	"context"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/proxy/streams"
)

// Caller is who made a request.
type Caller struct {
	User user.Info
	// Token is the direct endpoint token that proved it; nil where something else did.
	Token *accesstoken.Identity
	// Expiry is when what proved it ends; zero: it is not known. Streams are asked about from then on.
	Expiry time.Time
}

// Authenticator says who makes a request.
type Authenticator interface {
	// Authenticate returns who made r. An error that wraps bearer.ErrUnchecked means that nobody could
	// tell, and is answered with 503; API status errors 401, 403, 429 and 503 are answered as they
	// are; any other error means that the credential is missing or wrong.
	Authenticate(r *http.Request) (Caller, error)
}

// Access decides who may use a door for what, when a request comes and while it is open.
type Access interface {
	// Permit returns nil or the refusal, an API status error.
	Permit(r *http.Request, caller *Caller, target *Target) error
	// Still returns why a stream that was permitted must end; nil: it goes on. It must not take long.
	Still(caller *Caller, target *Target) *streams.End
	// Changed is closed when Still may say something else than before. It is asked for first.
	Changed() <-chan struct{}
}

type callerKey struct{}

func withCaller(ctx context.Context, caller *Caller) context.Context {
	return request.WithUser(context.WithValue(ctx, callerKey{}, caller), caller.User)
}

// CallerFrom returns who authenticated, whomever that person impersonates; nil outside of the chain.
func CallerFrom(ctx context.Context) *Caller {
	caller, _ := ctx.Value(callerKey{}).(*Caller)
	return caller
}
