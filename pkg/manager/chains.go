package manager

import (
	"errors"
	"net/http"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	genericserver "k8s.io/apiserver/pkg/server"

	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/manager/authn"
	"loft.sh/agent/pkg/manager/registry/view"
	"loft.sh/agent/pkg/statuserr"
)

var errNobody = errors.New("no credential")

// chains builds the generic server's handler chain twice: for the aggregator, which says by certificate
// who asks, and for the outer doors, where door has found it out.
func (c *Config) chains(apiHandler http.Handler, g *genericserver.Config) http.Handler {
	apiHandler = view.WithApply(apiHandler)
	outer := *g
	outer.Authentication.Authenticator = authn.FromFilter()
	outer.Authentication.RequestHeaderConfig = nil
	ready := c.withPeople(g)
	c.outerAPI = ready(withProxy(c.gateway, c.door.With(genericserver.DefaultBuildHandlerChain(apiHandler, &outer))))
	inner := genericserver.DefaultBuildHandlerChain(apiHandler, g)
	proxy := c.gateway.Inner(byConnection{g.Authentication.Authenticator})
	return c.shutdown.Drain.Handler(doors.Routes{
		Table:    []doors.Route{{Path: "/apis", Handler: ready(withProxy(proxy, inner))}},
		Fallback: inner,
	})
}

// withPeople refuses everybody while nobody is known yet: who may what would be judged by half of what
// decides about it.
func (c *Config) withPeople(g *genericserver.Config) func(http.Handler) http.Handler {
	refuse := statuserr.NewWriter(g.Serializer)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !c.policy.Synced() {
				refuse(w, r, statuserr.Unavailable("the manager has not read its custom resources yet", 1))
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// byConnection says who comes to the inner listener.
type byConnection struct{ authenticator.Request }

// Authenticate implements door.Authenticator.
func (b byConnection) Authenticate(r *http.Request) (door.Caller, error) {
	response, ok, err := b.AuthenticateRequest(r)
	switch {
	case err != nil:
		return door.Caller{}, err
	case !ok || response.User.GetName() == user.Anonymous:
		return door.Caller{}, errNobody
	}
	return door.Caller{User: response.User}, nil
}
