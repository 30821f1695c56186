package signingkeys

import (
	"errors"
	"slices"
	"time"
)

const (
	// maxLead is how long before it signs a key is published, where that is not the half of a period.
	maxLead = 24 * time.Hour
	// handGrace is the same for a key that was asked for by hand: pushing a bundle takes 5 s.
	handGrace = time.Minute
	// clockSkew is how much the clocks of managers may differ.
	clockSkew = 5 * time.Minute
	// MaxKeys is how many keys there may be at once: a bundle holds them all.
	MaxKeys = 100
)

var errTooManyKeys = errors.New("too many keys are trusted already; another can be made when the oldest's last token has ended")

// schedule is what decides about the next ring.
type schedule struct {
	// period is between two keys; 0: there is none, only rotations by hand.
	period time.Duration
	// maxLifetime is how long tokens live at most by today's configuration.
	maxLifetime time.Duration
	// request is the present request for a rotation by hand; another than the one handled asks for one.
	request string
}

// lead is how long before it signs a key is published.
func (s schedule) lead() time.Duration { return min(maxLead, s.period/2) }

// first is the ring where there is no Secret. Its key signs at once: no agent knows any.
func (s schedule) first(issuer string, now time.Time) (*Ring, error) {
	key, err := newKey(issuer, now, s.maxLifetime)
	if err != nil {
		return nil, err
	}
	return &Ring{issuer: issuer, keys: []Key{key}, handled: s.request}, nil
}

// next is the ring that r should be at now; r itself where it is so already.
func (s schedule) next(r *Ring, now time.Time) (*Ring, error) {
	next := &Ring{issuer: r.issuer, handled: r.handled, keys: slices.Clone(r.keys)}
	pruned := next.prune(now)
	raised := next.raise(now, s.maxLifetime)
	added, err := s.add(next, now)
	if err != nil {
		return r, err
	}
	if pruned || raised || added {
		return next, nil
	}
	return r, nil
}

// prune takes out the keys whose last token has ended.
func (r *Ring) prune(now time.Time) bool {
	before := len(r.keys)
	for len(r.keys) > 1 && now.After(r.keys[1].From.Add(r.keys[0].MaxLifetime+clockSkew)) {
		r.keys = r.keys[1:]
	}
	return len(r.keys) < before
}

// raise lets the keys that sign, or will, have tokens of a lifetime that was configured since.
func (r *Ring) raise(now time.Time, maxLifetime time.Duration) (raised bool) {
	active := r.Active(now).ID()
	i := slices.IndexFunc(r.keys, func(k Key) bool { return k.ID() == active })
	for ; i < len(r.keys); i++ {
		if r.keys[i].MaxLifetime < maxLifetime {
			r.keys[i].MaxLifetime, raised = maxLifetime, true
		}
	}
	return raised
}

// add appends a key where it was asked for by hand, or is due.
func (s schedule) add(r *Ring, now time.Time) (bool, error) {
	byHand := s.request != r.handled
	from := now.Add(handGrace)
	if byHand {
		r.dropUnused(now)
	} else {
		last := r.keys[len(r.keys)-1].From
		if s.period == 0 || now.Before(last.Add(s.period-s.lead())) {
			return false, nil
		}
		if from = now.Add(s.lead()); from.Before(last.Add(s.period)) {
			from = last.Add(s.period)
		}
	}
	if last := r.keys[len(r.keys)-1].From; !last.Before(from.Truncate(time.Second)) {
		from = last.Add(time.Second)
	}
	if len(r.keys) >= MaxKeys {
		return false, errTooManyKeys
	}
	key, err := newKey(r.issuer, from, s.maxLifetime)
	if err != nil {
		return false, err
	}
	r.keys, r.handled = append(r.keys, key), s.request
	return true, nil
}

// dropUnused takes out keys that have not signed yet, by the clock of any manager: whoever asks for
// another key by hand does not want one that has been lying about.
func (r *Ring) dropUnused(now time.Time) {
	for len(r.keys) > 1 && r.keys[len(r.keys)-1].From.After(now.Add(clockSkew)) {
		r.keys = r.keys[:len(r.keys)-1]
	}
}
