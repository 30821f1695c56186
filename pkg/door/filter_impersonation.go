package door

import (
	"net/http"

	"k8s.io/apiserver/pkg/endpoints/filters/impersonation"

	"loft.sh/agent/pkg/identity"
)

// withImpersonation has the cluster's RBAC decide whom the client may impersonate. The aggregator's API
// server has used up the client's own headers, for the person whom the manager's gateway forwards; what
// that person asked for comes in others, from anybody, and is judged as everybody's is.
func (c *Config) withImpersonation(next http.Handler) http.Handler {
	if c.Impersonation == nil {
		return next
	}
	judged := impersonation.WithConstrainedImpersonation(next, c.Impersonation, c.Serializer)
	if !c.Aggregated {
		return judged
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		identity.Resume(r.Header)
		judged.ServeHTTP(w, r)
	})
}
