package direct

import (
	"context"
	"net/http"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/audit"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/proxy"
	"loft.sh/agent/pkg/proxy/streams"
)

const (
	// lifetimePeriod is how often expiry of the tokens of open streams is looked at. Revocations are
	// seen at once.
	lifetimePeriod = time.Second
	// drainPeriod is the step in which watches are ended while the agent shuts down.
	drainPeriod = 50 * time.Millisecond
)

// Lifetimes ends open streams whose token has expired, or is not trusted any more, and all of them
// when the agent shuts down. The API server does not: it keeps delivering to a watch long after its
// token has ended, and knows nothing of our shutdown.
type Lifetimes struct {
	verifier *accesstoken.Verifier
	clock    clock.WithTicker

	lock sync.Mutex
	open map[*lifetime]struct{}
	// draining begins the end of all streams, which takes as long as drainFor; nil: never.
	draining <-chan struct{}
	drainFor time.Duration
	drained  bool
}

// lifetime is one open stream.
type lifetime struct {
	token *accesstoken.Identity // nil: opened by another credential, whose end we don't know
	end   context.CancelCauseFunc
	w     http.ResponseWriter
	kind  streams.Kind
	ended bool
}

// NewLifetimes returns a keeper of open streams; it does nothing before Run.
func NewLifetimes(verifier *accesstoken.Verifier, clock clock.WithTicker) *Lifetimes {
	return &Lifetimes{verifier: verifier, clock: clock, open: map[*lifetime]struct{}{}}
}

// drainOn ends all streams within that time from when the channel is closed. To be called before Run.
func (l *Lifetimes) drainOn(draining <-chan struct{}, within time.Duration) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.draining, l.drainFor = draining, within
}

// Run ends streams until ctx is done, and, where they are to be drained, until they are. One loop
// serves all of them: a stream costs an entry in a map and no goroutine.
func (l *Lifetimes) Run(ctx context.Context) {
	ticker := l.clock.NewTicker(lifetimePeriod)
	defer ticker.Stop()
	changed := l.verifier.Changed()
	draining, done := l.draining, ctx.Done()
	if draining != nil {
		done = nil // shutdown ends ctx long before the last stream
	}
	for {
		select {
		case <-done:
			return
		case <-draining:
			l.drain(l.clock.Now())
			return
		case <-changed:
			changed = l.verifier.Changed()
			l.endUntrusted(func(*accesstoken.Identity) bool { return true })
		case now := <-ticker.C():
			l.endUntrusted(func(token *accesstoken.Identity) bool { return !now.Before(token.Expiry) })
		}
	}
}

// endUntrusted ends the streams whose token is suspected, and found not to be good any more.
func (l *Lifetimes) endUntrusted(suspected func(*accesstoken.Identity) bool) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for stream := range l.open {
		if stream.token == nil || !suspected(stream.token) {
			continue
		}
		if err := l.verifier.Valid(stream.token); err != nil {
			stream.endWith(tokenEnd(err))
		}
	}
}

// endWith needs the lock: the writer must not be touched when its request is over.
func (s *lifetime) endWith(end *streams.End) {
	if s.ended {
		return
	}
	s.ended = true
	if s.w != nil {
		streams.Hurry(s.w)
	}
	s.end(end)
}

// drain ends watches one by one over the time given, so that their clients do not all come to the
// next agent in one instant, and what cannot be taken up elsewhere at its very end.
func (l *Lifetimes) drain(begun time.Time) {
	ticker := l.clock.NewTicker(drainPeriod)
	defer ticker.Stop()
	changed := l.verifier.Changed()
	total, done := l.watches(), 0
	for now := begun; ; {
		passed := now.Sub(begun)
		if passed >= l.drainFor {
			l.endAll()
			return
		}
		due := int(float64(total)*float64(passed)/float64(l.drainFor)) + 1
		done += l.endWatches(due - done)
		select {
		case <-changed:
			changed = l.verifier.Changed()
		case now = <-ticker.C():
		}
		l.endUntrusted(func(*accesstoken.Identity) bool { return true })
	}
}

func (l *Lifetimes) watches() (n int) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for stream := range l.open {
		if stream.kind == streams.Watch {
			n++
		}
	}
	return n
}

// endWatches ends n watches, any of them, and returns how many there were.
func (l *Lifetimes) endWatches(n int) (ended int) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for stream := range l.open {
		if ended >= n {
			break
		}
		if stream.kind == streams.Watch && !stream.ended {
			stream.endWith(shutdownEnd())
			ended++
		}
	}
	return ended
}

// endAll ends what is open, and what is opened from now on.
func (l *Lifetimes) endAll() {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.drained = true
	for stream := range l.open {
		stream.endWith(shutdownEnd())
	}
}

// track ties a request to its stream, which ends its context. release must be called.
func (l *Lifetimes) track(ctx context.Context, stream *lifetime) (_ context.Context, release func()) {
	ctx, stream.end = context.WithCancelCause(ctx)
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.drained {
		stream.endWith(shutdownEnd())
	}
	l.open[stream] = struct{}{}
	return ctx, func() {
		l.lock.Lock()
		delete(l.open, stream)
		l.lock.Unlock()
		stream.end(nil)
	}
}

// withLifetime ties requests that stay open to the token that opened them, and to the agent.
func (c *Config) withLifetime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := TargetFrom(r.Context())
		if target.Lane == proxy.Short {
			next.ServeHTTP(w, r)
			return
		}
		caller, _ := CallerFrom(r.Context())
		stream := &lifetime{token: caller.Token, kind: streamKind(target.Info)}
		if target.Lane == proxy.Stream {
			stream.w = w
		}
		ctx, release := c.Lifetimes.track(r.Context(), stream)
		defer release()
		defer func() {
			if end := streams.EndOf(ctx); end != nil {
				klog.FromContext(ctx).V(2).Info("Stream ended", "user", caller.User.GetName(), "reason", end.Message, "cause", end.Err,
					"auditID", audit.GetAuditIDTruncated(ctx))
			}
		}()
		// A bundle may have come between authentication and track.
		if caller.Token != nil {
			if err := c.Lifetimes.verifier.Valid(caller.Token); err != nil {
				c.refuseToken(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
