package manager

import (
	"net/http"

	genericserver "k8s.io/apiserver/pkg/server"

	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/manager/authn"
	"loft.sh/agent/pkg/manager/registry/view"
	"loft.sh/agent/pkg/statuserr"
)

// chains builds the generic server's handler chain twice: for the aggregator, which says by certificate
// who asks, and for the outer doors, where door has found it out.
func (c *Config) chains(apiHandler http.Handler, g *genericserver.Config) http.Handler {
	apiHandler = view.WithApply(apiHandler)
	outer := *g
	outer.Authentication.Authenticator = authn.FromFilter()
	outer.Authentication.RequestHeaderConfig = nil
	ready := c.withPeople(g)
	c.outerAPI = ready(c.door.With(genericserver.DefaultBuildHandlerChain(apiHandler, &outer)))
	inner := genericserver.DefaultBuildHandlerChain(apiHandler, g)
	return c.shutdown.Drain.Handler(doors.Routes{
		Table:    []doors.Route{{Path: "/apis", Handler: ready(inner)}},
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
