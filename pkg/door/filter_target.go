package door

import (
	"context"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/endpoints/request"
)

// withTarget replaces the request by the inner one: URL and request info are those of the API
// server behind. A path that is not this door's, or not clear, ends here.
func (c *Config) withTarget(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target, err := Parse(r, c.Locate, c.Hint)
		if err != nil {
			c.requests.Unread(err)
			c.refuse(w, r, err)
			return
		}
		ctx := request.WithRequestInfo(withTarget(r.Context(), target), target.Info)
		inner := r.WithContext(ctx)
		inner.URL = target.URL
		next.ServeHTTP(w, inner)
		if target.aborted {
			panic(http.ErrAbortHandler)
		}
	})
}

// withDeadline bounds what is not long-running. The API server bounds it too and answers
// better, so ours is for an API server that says nothing. What is long-running loses the deadlines
// that the outer listeners put on every request.
func (c *Config) withDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := TargetFrom(r.Context())
		if target.LongRunning && !c.Aggregated {
			control := http.NewResponseController(w)
			// Errors mean that there is no deadline to take off.
			_ = control.SetReadDeadline(time.Time{})
			_ = control.SetWriteDeadline(time.Time{})
		}
		if !target.LongRunning && c.Timeout > 0 {
			ctx, cancel := context.WithTimeout(r.Context(), c.Timeout)
			defer cancel()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}
