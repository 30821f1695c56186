package door

import "net/http"

// Sleeper holds requests for what sleeps until it is awake.
type Sleeper interface {
	// Await returns when r, whose context holds target and user, may go on; it may add headers to the
	// answer. An error is an API status error: r is refused with it.
	Await(w http.ResponseWriter, r *http.Request) error
}

func (c *Config) withSleep(next http.Handler) http.Handler {
	if c.Sleep == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.Sleep.Await(w, r); err != nil {
			c.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}
