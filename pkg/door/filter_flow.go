package door

import (
	"net/http"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// places bound how many requests of a kind are answered at a time. One user gets half of them at
// most, so that nobody can take them all.
type places struct {
	limit, share int

	lock   sync.Mutex
	taken  int
	byUser map[string]int
}

// newPlaces returns nil, which is without bounds, where limit is 0.
func newPlaces(limit int) *places {
	if limit == 0 {
		return nil
	}
	return &places{limit: limit, share: (limit + 1) / 2, byUser: map[string]int{}}
}

// take says whether user got a place, which leave gives back.
func (p *places) take(user string) bool {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.taken >= p.limit || p.byUser[user] >= p.share {
		return false
	}
	p.taken++
	p.byUser[user]++
	return true
}

func (p *places) leave(user string) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.taken--
	if p.byUser[user]--; p.byUser[user] == 0 {
		delete(p.byUser, user)
	}
}

// withFlowControl refuses requests that are not long-running while too many are in flight.
// apiserver's own filter counts what it refuses by the resource's name as the client wrote it, and
// lets one client take every place.
func (c *Config) withFlowControl(next http.Handler) http.Handler {
	reading, writing := newPlaces(c.MaxInFlight), newPlaces(c.MaxMutatingInFlight)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := TargetFrom(r.Context())
		kind := writing
		switch target.Info.Verb {
		case "get", "list", "watch", "head", "options":
			kind = reading
		}
		u, ok := request.UserFrom(r.Context())
		if kind == nil || target.LongRunning || !ok {
			next.ServeHTTP(w, r)
			return
		}
		name := u.GetName()
		if kind.take(name) {
			defer kind.leave(name)
		} else if !slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup) {
			c.refuse(w, r, apierrors.NewTooManyRequests("too many requests are in flight; try again later", retryAfterSeconds))
			return
		}
		next.ServeHTTP(w, r)
	})
}
