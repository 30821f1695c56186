package door

import (
	"net/http"

	"loft.sh/agent/pkg/doors"
)

// withMark tells the manager's gateway that the agent has answered, and not the aggregator in its place:
// "not found" and "unavailable" of either look alike.
func (c *Config) withMark(next http.Handler) http.Handler {
	if !c.Marked {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()[doors.AgentHeader] = []string{"true"}
		next.ServeHTTP(w, r)
	})
}
