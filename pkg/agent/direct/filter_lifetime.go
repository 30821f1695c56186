package direct

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/audit"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/proxy"
)

// lifetimePeriod is how often expiry of the tokens of open streams is looked at. Revocations are
// seen at once.
const lifetimePeriod = time.Second

// Lifetimes ends open streams whose token has expired, or is not trusted any more. The API server
// does not: it keeps delivering to a watch long after its token has ended.
type Lifetimes struct {
	verifier *accesstoken.Verifier
	clock    clock.WithTicker

	lock sync.Mutex
	open map[*lifetime]struct{}
}

// lifetime is one open stream.
type lifetime struct {
	token *accesstoken.Identity
	end   context.CancelCauseFunc
}

// NewLifetimes returns a keeper of open streams; it does nothing before Run.
func NewLifetimes(verifier *accesstoken.Verifier, clock clock.WithTicker) *Lifetimes {
	return &Lifetimes{verifier: verifier, clock: clock, open: map[*lifetime]struct{}{}}
}

// Run ends streams until ctx is done. One loop serves all of them: a stream costs an entry in a
// map and no goroutine.
func (l *Lifetimes) Run(ctx context.Context) {
	ticker := l.clock.NewTicker(lifetimePeriod)
	defer ticker.Stop()
	changed := l.verifier.Changed()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			changed = l.verifier.Changed()
			l.endWhere(func(id *accesstoken.Identity) error { return l.verifier.Valid(id) })
		case now := <-ticker.C():
			l.endWhere(func(id *accesstoken.Identity) error {
				if now.Before(id.Expiry) {
					return nil
				}
				return l.verifier.Valid(id)
			})
		}
	}
}

func (l *Lifetimes) endWhere(check func(*accesstoken.Identity) error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for stream := range l.open {
		if err := check(stream.token); err != nil {
			stream.end(err)
		}
	}
}

// track returns a context that ends when token does. release must be called.
func (l *Lifetimes) track(ctx context.Context, token *accesstoken.Identity) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stream := &lifetime{token: token, end: cancel}
	l.lock.Lock()
	l.open[stream] = struct{}{}
	l.lock.Unlock()
	return ctx, func() {
		l.lock.Lock()
		delete(l.open, stream)
		l.lock.Unlock()
		cancel(nil)
	}
}

// withLifetime ties long-running requests to the token that opened them.
func (c *Config) withLifetime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := CallerFrom(r.Context())
		if target := TargetFrom(r.Context()); caller.Token == nil || target.Lane == proxy.Short {
			next.ServeHTTP(w, r)
			return
		}
		ctx, release := c.Lifetimes.track(r.Context(), caller.Token)
		defer release()
		defer func() {
			var ended *accesstoken.Error
			if errors.As(context.Cause(ctx), &ended) {
				klog.FromContext(ctx).V(2).Info("Stream ended with its token", "user", caller.User.GetName(), "reason", ended.Reason,
					"auditID", audit.GetAuditIDTruncated(ctx))
			}
		}()
		// A bundle may have come between authentication and track.
		if err := c.Lifetimes.verifier.Valid(caller.Token); err != nil {
			c.refuseToken(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
