package direct

import (
	"sync"
	"time"

	"loft.sh/agent/pkg/accesstoken"
)

const (
	// permitTTL is how long a yes is remembered on top of the authoriser's own memory, whose
	// key is the whole question written out: dear to make for every request.
	permitTTL = 2 * time.Second
	// maxPermits bounds the memory; past it everything is forgotten at once.
	maxPermits = 10_000
)

// permits remembers who was permitted to use the endpoint. A no is not remembered here.
type permits struct {
	lock    sync.RWMutex
	granted map[permit]time.Time
}

// permit is the question: an identity is one token's, and a new trust bundle makes new ones.
type permit struct {
	token *accesstoken.Identity
	verb  string
}

func newPermits() *permits { return &permits{granted: map[permit]time.Time{}} }

func (p *permits) has(asked permit, now time.Time) bool {
	p.lock.RLock()
	defer p.lock.RUnlock()
	granted, ok := p.granted[asked]
	return ok && now.Sub(granted) < permitTTL
}

func (p *permits) add(asked permit, now time.Time) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if len(p.granted) >= maxPermits {
		clear(p.granted)
	}
	p.granted[asked] = now
}
