package door

import (
	"container/list"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

const (
	// oneOf places is one user's. With the usual 400, that is fewer than the API server itself has
	// for everybody of no special priority: whoever reads large answers slowly keeps its places, too.
	oneOf = 10
	// placeWait is how long a request waits for a place; the API server's own queues have as much
	// patience. Refused at once it would come again at once, often with a TLS handshake, and cost more
	// than while it waits.
	placeWait = 15 * time.Second
	// queueFor places there is a queue of that many requests a user.
	queueFor = 2
)

// places bound how many requests of a kind are answered at a time, and how many of one user. Others
// wait for a moment, in their order and the users in turn.
type places struct {
	limit, share int
	// patience is how long a request waits.
	patience time.Duration

	lock  sync.Mutex
	taken int
	users map[string]*guest
	// waiting are the guests with requests that wait, the one whose turn it is first.
	waiting list.List
}

// guest is a user with requests in flight, or waiting.
type guest struct {
	name  string
	taken int
	// queue holds a channel a waiting request, which is closed when there is a place for it.
	queue list.List
	turn  *list.Element
}

// newPlaces returns nil, which is without bounds, where limit is 0.
func newPlaces(limit int, patience time.Duration) *places {
	if limit == 0 {
		return nil
	}
	return &places{limit: limit, share: (limit + oneOf - 1) / oneOf, patience: patience, users: map[string]*guest{}}
}

// take says whether user got a place, which leave gives back.
func (p *places) take(ctx context.Context, user string) bool {
	g, place := p.ask(user)
	if place == nil {
		return g != nil
	}
	timer := time.NewTimer(p.patience)
	defer timer.Stop()
	granted := place.Value.(chan struct{})
	select {
	case <-granted:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return !p.giveUp(g, place)
}

// ask takes a place, or else one in the queue. No guest: there is neither.
func (p *places) ask(user string) (g *guest, queued *list.Element) {
	p.lock.Lock()
	defer p.lock.Unlock()
	g = p.users[user]
	if g == nil {
		g = &guest{name: user}
	}
	switch {
	case g.queue.Len() == 0 && p.free(g):
		p.grant(g)
	case g.queue.Len() >= queueFor*p.limit:
		return nil, nil
	default:
		queued = g.queue.PushBack(make(chan struct{}))
		if g.turn == nil {
			g.turn = p.waiting.PushBack(g)
		}
	}
	p.users[user] = g
	return g, queued
}

// free and what follows need the lock.
func (p *places) free(g *guest) bool { return p.taken < p.limit && g.taken < p.share }

func (p *places) grant(g *guest) {
	p.taken++
	g.taken++
}

// giveUp leaves the queue. False: a place came just then.
func (p *places) giveUp(g *guest, queued *list.Element) bool {
	p.lock.Lock()
	defer p.lock.Unlock()
	select {
	case <-queued.Value.(chan struct{}):
		return false
	default:
	}
	g.queue.Remove(queued)
	p.tidy(g)
	return true
}

func (p *places) leave(user string) {
	p.lock.Lock()
	defer p.lock.Unlock()
	g := p.users[user]
	p.taken--
	g.taken--
	p.pass()
	p.tidy(g)
}

// pass gives a place that has become free to who waits for it.
func (p *places) pass() {
	for turn := p.waiting.Front(); turn != nil; turn = turn.Next() {
		g := turn.Value.(*guest)
		if !p.free(g) {
			continue
		}
		p.grant(g)
		close(g.queue.Remove(g.queue.Front()).(chan struct{}))
		p.waiting.MoveToBack(turn)
		p.tidy(g)
		return
	}
}

// tidy forgets what g does not have any more.
func (p *places) tidy(g *guest) {
	if g.queue.Len() > 0 {
		return
	}
	if g.turn != nil {
		p.waiting.Remove(g.turn)
		g.turn = nil
	}
	if g.taken == 0 {
		delete(p.users, g.name)
	}
}

// withFlowControl has requests that are not long-running wait, and in the end refuses them, while too
// many are in flight. apiserver's own filter counts what it refuses by the resource's name as the
// client wrote it, and lets one client take every place.
func (c *Config) withFlowControl(next http.Handler) http.Handler {
	reading, writing := newPlaces(c.MaxInFlight, c.patience), newPlaces(c.MaxMutatingInFlight, c.patience)
	clusters := newShares((c.MaxInFlight + c.MaxMutatingInFlight) / clusterOneOf)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := TargetFrom(r.Context())
		kind := writing
		switch target.Info.Verb {
		case "get", "list", "watch", "head", "options":
			kind = reading
		}
		u, ok := request.UserFrom(r.Context())
		if kind == nil || target.LongRunning || !ok || slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup) {
			next.ServeHTTP(w, r)
			return
		}
		if !clusters.take(target.Cluster) {
			c.refuse(w, r, apierrors.NewTooManyRequests("too many requests to the cluster are in flight; try again later", retryAfterSeconds))
			return
		}
		defer clusters.leave(target.Cluster)
		name := u.GetName()
		if !kind.take(r.Context(), name) {
			c.refuse(w, r, apierrors.NewTooManyRequests("too many requests are in flight; try again later", retryAfterSeconds))
			return
		}
		defer kind.leave(name)
		next.ServeHTTP(w, r)
	})
}
