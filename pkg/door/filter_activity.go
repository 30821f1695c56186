package door

import "net/http"

// Recorder is told of every allowed request before it is forwarded. It must not block.
type Recorder interface {
	// Record notes r, whose context holds target, user and request info.
	Record(r *http.Request)
}

func (c *Config) withActivity(next http.Handler) http.Handler {
	if c.Activity == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.Activity.Record(r)
		next.ServeHTTP(w, r)
	})
}
