package gateway

import (
	"context"
	"slices"
	"strings"
	"sync"

	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/manager/access"
)

// maxVerdicts bounds the memory; past it nothing more is remembered until something changes.
const maxVerdicts = 20_000

// verdicts remembers what was found out. Whoever begins to find out takes it first and adds to the
// same, so that an answer from before a change is never remembered after it.
type verdicts struct {
	// over is closed when they are not the ones of the moment any more.
	over chan struct{}

	lock  sync.RWMutex
	known map[question]*verdict
}

// question is about whom, known by name and access key, and which cluster.
type question struct{ user, key, cluster string }

func newVerdicts() *verdicts {
	return &verdicts{over: make(chan struct{}), known: map[question]*verdict{}}
}

func (v *verdicts) get(q question) *verdict {
	v.lock.RLock()
	defer v.lock.RUnlock()
	return v.known[q]
}

func (v *verdicts) add(q question, found *verdict) {
	// The strings may be parts of a request.
	q.cluster = strings.Clone(q.cluster)
	v.lock.Lock()
	defer v.lock.Unlock()
	if len(v.known) < maxVerdicts {
		v.known[q] = found
	}
}

// known returns what is remembered, and where to add what is found out about the question.
func (k *keeper) known(caller *door.Caller, cluster string) (*verdict, question, *verdicts) {
	q := question{user: caller.User.GetName(), cluster: cluster}
	if keys := caller.User.GetExtra()[access.ExtraAccessKey]; len(keys) > 0 {
		q.key = keys[0]
	}
	current := k.verdicts.Load()
	// Who comes through the aggregator may bear the name and other groups.
	if known := current.get(q); known != nil && slices.Equal(known.groups, caller.User.GetGroups()) {
		return known, q, current
	}
	return nil, q, current
}

// verdict returns what is remembered, or finds it out.
func (k *keeper) verdict(ctx context.Context, caller *door.Caller, cluster string) (*verdict, error) {
	known, q, current := k.known(caller, cluster)
	if known != nil {
		return known, nil
	}
	found, err := judge(ctx, k.policy, caller.User, cluster)
	if err != nil {
		return nil, err
	}
	current.add(q, found)
	return found, nil
}
