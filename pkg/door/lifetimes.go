package door

import (
	"context"
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/proxy/streams"
)

const (
	// lifetimePeriod is how often the expiry of what opened streams is looked at. Changes of access are
	// seen at once.
	lifetimePeriod = time.Second
	// drainPeriod is the step in which watches are ended while the program shuts down.
	drainPeriod = 50 * time.Millisecond
)

// Lifetimes ends open streams that access is not given to any more, and all of them when the program
// shuts down. The API server does not: it keeps delivering to a watch long after its token has ended,
// and knows nothing of our shutdown.
type Lifetimes struct {
	access  Access
	program string
	clock   clock.WithTicker

	lock sync.Mutex
	open map[*lifetime]struct{}
	// draining begins the end of all streams, which takes as long as drainFor; nil: never.
	draining <-chan struct{}
	drainFor time.Duration
	drained  bool
}

// lifetime is one open stream.
type lifetime struct {
	caller *Caller
	target *Target
	end    context.CancelCauseFunc
	w      http.ResponseWriter
	kind   streams.Kind
	ended  bool
}

// NewLifetimes returns a keeper of open streams; it does nothing before Run. Program is how clients
// are told who shuts down, such as "agent".
func NewLifetimes(access Access, program string, clock clock.WithTicker) *Lifetimes {
	return &Lifetimes{access: access, program: program, clock: clock, open: map[*lifetime]struct{}{}}
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
	changed := l.access.Changed()
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
			changed = l.access.Changed()
			l.endUntrusted(anyStream)
		case now := <-ticker.C():
			l.endUntrusted(func(stream *lifetime) bool {
				expiry := stream.caller.Expiry
				return !expiry.IsZero() && !now.Before(expiry)
			})
		}
	}
}

func anyStream(*lifetime) bool { return true }

// endUntrusted ends the streams that are suspected, and found not to be permitted any more. Nobody
// waits for the lock while that is found out.
func (l *Lifetimes) endUntrusted(suspected func(*lifetime) bool) {
	for _, stream := range l.suspects(suspected) {
		end := l.access.Still(stream.caller, stream.target)
		if end == nil {
			continue
		}
		l.lock.Lock()
		if _, open := l.open[stream]; open {
			stream.endWith(end)
		}
		l.lock.Unlock()
	}
}

func (l *Lifetimes) suspects(suspected func(*lifetime) bool) (found []*lifetime) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for stream := range l.open {
		if !stream.ended && suspected(stream) {
			found = append(found, stream)
		}
	}
	return found
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
// next replica in one instant, and what cannot be taken up elsewhere at its very end.
func (l *Lifetimes) drain(begun time.Time) {
	ticker := l.clock.NewTicker(drainPeriod)
	defer ticker.Stop()
	changed := l.access.Changed()
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
			changed = l.access.Changed()
		case now = <-ticker.C():
		}
		l.endUntrusted(anyStream)
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
			stream.endWith(shutdownEnd(l.program))
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
		stream.endWith(shutdownEnd(l.program))
	}
}

// track ties a request to its stream, which ends its context. release must be called.
func (l *Lifetimes) track(ctx context.Context, stream *lifetime) (_ context.Context, release func()) {
	ctx, stream.end = context.WithCancelCause(ctx)
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.drained {
		stream.endWith(shutdownEnd(l.program))
	}
	l.open[stream] = struct{}{}
	return ctx, func() {
		l.lock.Lock()
		delete(l.open, stream)
		l.lock.Unlock()
		stream.end(nil)
	}
}
