package direct

import (
	"sync"
	"time"

	"loft.sh/agent/pkg/accesstoken"
)

const (
	// permitTTL is how long a yes is taken as it is, on top of the authoriser's own memory, whose
	// key is the whole question written out: dear to make for every request.
	permitTTL = 2 * time.Second
	// permitStale is how long a yes counts where the host cannot be asked again. What the person
	// may do behind the endpoint the host decides anyhow, with each request.
	permitStale = 15 * time.Minute
	// permitWait is how long a request waits for an answer where there is an old one.
	permitWait = time.Second
	// maxPermits bounds the memory; past it everything is forgotten at once.
	maxPermits = 10_000
)

// permits remembers who was permitted to use the endpoint. A no is not remembered here.
type permits struct {
	lock    sync.Mutex
	granted map[permit]grant
}

// permit is the question: an identity is one token's, and a new trust bundle makes new ones.
type permit struct {
	token *accesstoken.Identity
	verb  string
}

// grant is a yes: when it was last said, and until when nobody asks again.
type grant struct{ said, until time.Time }

// known is what is remembered of a question.
type known int

const (
	unknownPermit known = iota
	// stalePermit was said a while ago: to be asked again by whom it is given to. Others take it
	// as fresh meanwhile.
	stalePermit
	freshPermit
)

func newPermits() *permits { return &permits{granted: map[permit]grant{}} }

func (p *permits) look(asked permit, now time.Time) known {
	p.lock.Lock()
	defer p.lock.Unlock()
	yes, ok := p.granted[asked]
	switch {
	case !ok || now.Sub(yes.said) >= permitStale:
		return unknownPermit
	case now.Before(yes.until):
		return freshPermit
	}
	yes.until = now.Add(permitTTL)
	p.granted[asked] = yes
	return stalePermit
}

func (p *permits) add(asked permit, now time.Time) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if len(p.granted) >= maxPermits {
		clear(p.granted)
	}
	p.granted[asked] = grant{said: now, until: now.Add(permitTTL)}
}

func (p *permits) remove(asked permit) {
	p.lock.Lock()
	defer p.lock.Unlock()
	delete(p.granted, asked)
}
