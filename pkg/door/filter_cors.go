package door

import (
	"net/http"

	"loft.sh/agent/pkg/doors"
)

// withCORS is for the outer doors; the API server in front of door 2 has settings of its own.
func (c *Config) withCORS(next http.Handler) http.Handler {
	if c.Aggregated {
		return next
	}
	return doors.WithCORS(next)
}
