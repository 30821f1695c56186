package listen

import (
	"net/http"
	"sync/atomic"
)

// Drain sends clients to another replica, one answer after the other, while this one still serves.
// A connection that is closed when it is idle may meet a request on its way, which is lost; one
// that is closed with an answer cannot.
type Drain struct{ begun atomic.Bool }

// Begin makes every answer from now on the last one of its connection, or for HTTP/2 the
// connection the last one of its requests (GOAWAY); what is open on it goes on.
func (d *Drain) Begin() { d.begun.Store(true) }

// Handler wraps next.
func (d *Drain) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// An upgrade has a Connection header of its own, and its connection no further request.
		if d.begun.Load() && len(r.Header["Upgrade"]) == 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
