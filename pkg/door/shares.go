package door

import "sync"

// clusterOneOf places is one cluster's, where there are several: requests to one that is silent keep
// theirs until they time out, and must not take those of all others.
const clusterOneOf = 4

// shares bound how many requests to one cluster are in flight, or wait. The cluster without a name is
// the only one, and not bounded.
type shares struct {
	limit int

	lock  sync.Mutex
	taken map[string]int
}

func newShares(limit int) *shares { return &shares{limit: max(limit, 1), taken: map[string]int{}} }

// take says whether there was a share, which leave gives back.
func (s *shares) take(cluster string) bool {
	if cluster == "" {
		return true
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.taken[cluster] >= s.limit {
		return false
	}
	s.taken[cluster]++
	return true
}

func (s *shares) leave(cluster string) {
	if cluster == "" {
		return
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.taken[cluster]--; s.taken[cluster] == 0 {
		delete(s.taken, cluster)
	}
}
