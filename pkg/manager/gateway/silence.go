package gateway

import (
	"sync/atomic"
	"time"

	"loft.sh/agent/pkg/proxy"
)

const (
	// tryPeriod is how often one request finds out whether a silent cluster answers again.
	tryPeriod = 2 * time.Second
	// silentAfter is how long a cluster must have said nothing, that one request which gets no answer is
	// taken for the silence of all.
	silentAfter = 5 * time.Second
)

// silence is what is known of an API server that does not answer. Without it each request to it would
// wait as long as the first has, and keep its place meanwhile.
type silence struct {
	// heard is when the last answer came, and try when the next request may find out; both in Unix
	// nanoseconds. try is 0 while nothing is wrong.
	heard, try atomic.Int64
}

// answered notes that there was an answer, of any kind.
func (s *silence) answered(now time.Time) {
	s.heard.Store(now.UnixNano())
	if s.try.Load() != 0 {
		s.try.Store(0)
	}
}

// failed notes that a request got no answer.
func (s *silence) failed(kind proxy.Failure, now time.Time) {
	switch kind {
	case proxy.FailureDial, proxy.FailureTimeout, proxy.FailureTLS:
	default:
		return
	}
	if now.UnixNano()-s.heard.Load() >= int64(silentAfter) {
		s.try.Store(now.Add(tryPeriod).UnixNano())
	}
}

// mayTry says whether a request may be sent.
func (s *silence) mayTry(now time.Time) bool {
	try := s.try.Load()
	return try == 0 || now.UnixNano() >= try && s.try.CompareAndSwap(try, now.Add(tryPeriod).UnixNano())
}
