package door

import (
	"net/http"

	"loft.sh/agent/pkg/doors"
)

// withClientAddress settles where a request came from before audit reads it.
func (c *Config) withClientAddress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.Clients.Settle(r, c.Aggregated)
		if !c.Aggregated {
			// The aggregator sends the API server's audit ID; anybody else gets a new one.
			delete(r.Header, "Audit-Id")
		}
		next.ServeHTTP(w, r)
	})
}

// clientIP is the address that the API server is told, behind withClientAddress.
func clientIP(r *http.Request) string { return doors.ClientIP(r) }
