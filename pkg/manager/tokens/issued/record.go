package issued

import (
	"errors"
	"maps"
	"slices"
	"time"
)

const (
	// cutoffAhead is how far a cutoff lies in the future: longer than a write takes, and than the clocks
	// of managers differ, together.
	cutoffAhead = 15 * time.Second
	// keepAfter is how long a record outlives its last token, for clocks that differ.
	keepAfter = 5 * time.Minute
	// writeAhead is the part of a token's lifetime for which a record promises more than it must, so that
	// a person who renews all day has four writes and not fifty.
	writeAhead = 4
	// maxKeys bounds the access keys in one record.
	maxKeys = 500
)

// errGone is the answer to somebody who was there a moment ago.
var errGone = errors.New("the user, the team or the access key was disabled, or is gone")

// Record is what the tokens of one subject may say. Times are Unix seconds.
type Record struct {
	// Subject is the tokens' sub.
	Subject string `json:"subject"`
	// Until is when the last token has ended.
	Until int64 `json:"until"`
	// Cutoff: all tokens issued then or before are revoked; 0: none.
	Cutoff int64 `json:"issuedBefore,omitempty"`
	// Open says that tokens may have been issued after Cutoff. The rest is about these.
	Open bool `json:"open,omitempty"`
	// UID of the User or Team.
	UID string `json:"uid,omitempty"`
	// Teams are those in whose groups a token may be, sorted.
	Teams []string `json:"teams,omitempty"`
	// Keys are the access keys from which tokens came, by name.
	Keys map[string]Key `json:"accessKeys,omitempty"`
}

// Key is an access key from which tokens came.
type Key struct {
	Version
	// Until is when the last of these tokens has ended.
	Until int64 `json:"until"`
	// RevokedAt is when the key was found to be gone or disabled, with the time that a cutoff
	// looks ahead; 0: it was not.
	RevokedAt int64 `json:"revokedAt,omitempty"`
}

// Version tells an access key from another of the same name, and from itself with another scope.
type Version struct {
	UID   string `json:"uid"`
	Scope string `json:"scope,omitempty"`
}

// Owner is what is true now about a subject.
type Owner struct {
	// Enabled says that the user or team exists and is not disabled.
	Enabled bool
	UID     string
	// Teams that tokens are to say now.
	Teams []string
	// Key returns what an access key is now, and whether it exists and may be used.
	Key func(name string) (Version, bool)
}

// Token is what is to be issued.
type Token struct {
	Subject string
	// AccessKey is empty where none was used.
	AccessKey string
	Expiry    time.Time
}

// Revocation is one entry of a bundle's list.
type Revocation struct {
	// AccessKey whose tokens are refused; empty: those of Subject are.
	AccessKey string
	Subject   string
	// Cutoff: the subject's tokens issued then or before are refused, in Unix seconds; 0: all of them.
	Cutoff int64
	// Last second in which a token that must be refused can have been issued; 0: not settled yet.
	Last int64
}

// Revocations compares r with the truth.
func (r *Record) Revocations(owner Owner) []Revocation {
	switch {
	case r.outdated(owner):
		return []Revocation{{Subject: r.Subject}}
	case !owner.Enabled:
		return []Revocation{{Subject: r.Subject, Last: r.Cutoff}}
	}
	var list []Revocation
	if r.Cutoff > 0 {
		list = append(list, Revocation{Subject: r.Subject, Cutoff: r.Cutoff, Last: r.Cutoff})
	}
	for name, key := range r.Keys {
		if _, usable := owner.Key(name); !usable {
			list = append(list, Revocation{AccessKey: name, Last: key.RevokedAt})
		}
	}
	return list
}

// outdated says whether all of the subject's tokens must go: one may be of another user of that name, or
// in a group that its owner is not in any more, or from a key whose name is good again. Refusing the
// name would refuse the tokens of today's key.
func (r *Record) outdated(owner Owner) bool {
	if !r.Open {
		return false
	}
	if !owner.Enabled || r.strange(owner.UID, owner.Teams) {
		return true
	}
	for name, key := range r.Keys {
		if version, usable := owner.Key(name); usable && key.differs(version) {
			return true
		}
	}
	return false
}

// strange says whether a token can say another UID, or a team that is not among the teams.
func (r *Record) strange(uid string, teams []string) bool {
	return r.Open && (r.UID != uid || slices.ContainsFunc(r.Teams, func(t string) bool { return !slices.Contains(teams, t) }))
}

// differs says whether k is not the key that has this version now, or was revoked in the meantime.
func (k *Key) differs(version Version) bool { return k.RevokedAt > 0 || k.Version != version }

// Settle returns r with what has happened for good at now, and whether that is another; ended says that
// nothing is left to be remembered.
func (r *Record) Settle(owner Owner, now time.Time) (settled Record, changed, ended bool) {
	if now.Unix() > r.Until+int64(keepAfter/time.Second) {
		return *r, false, true
	}
	if r.outdated(owner) {
		return r.cut(now), true, false
	}
	settled = r.clone()
	for name, key := range r.Keys {
		if now.Unix() > key.Until+int64(keepAfter/time.Second) {
			delete(settled.Keys, name)
			changed = true
			continue
		}
		if _, usable := owner.Key(name); key.RevokedAt == 0 && !usable {
			key.RevokedAt = now.Add(cutoffAhead).Unix()
			settled.Keys[name] = key
			changed = true
		}
	}
	return settled, changed, false
}

// Extend returns r with a token in it that says what is true of its owner, and whether that is another.
// r is the zero Record where there is none. Where tokens from before must be revoked all together, the
// new one is dated after that. The error says that the owner, or the key, cannot have a token now.
func (r *Record) Extend(token Token, owner Owner, now time.Time) (extended Record, changed bool, err error) {
	version, usable := Version{}, true
	if token.AccessKey != "" {
		version, usable = owner.Key(token.AccessKey)
	}
	if !owner.Enabled || !usable {
		return *r, false, errGone
	}
	extended = r.clone()
	if r.outdated(owner) || r.full(token.AccessKey) {
		extended, changed = r.cut(now), true
	}
	if !extended.Open || extended.Subject != token.Subject {
		extended.Open, extended.Subject, extended.UID, changed = true, token.Subject, owner.UID, true
	}
	for _, team := range owner.Teams {
		if i, found := slices.BinarySearch(extended.Teams, team); !found {
			extended.Teams, changed = slices.Insert(extended.Teams, i, team), true
		}
	}
	return extended, extended.promise(token, version, now) || changed, nil
}

// promise makes r remember the token for as long as it lives, and some time more, so that the next one
// changes nothing.
func (r *Record) promise(token Token, version Version, now time.Time) (changed bool) {
	until := token.Expiry.Add(token.Expiry.Sub(now) / writeAhead).Unix()
	if r.Until < token.Expiry.Unix() {
		r.Until, changed = until, true
	}
	if token.AccessKey != "" && r.Keys[token.AccessKey].Until < token.Expiry.Unix() {
		if r.Keys == nil {
			r.Keys = map[string]Key{}
		}
		r.Keys[token.AccessKey], changed = Key{Version: version, Until: until}, true
	}
	return changed
}

// full says whether r has no room for another key.
func (r *Record) full(key string) bool {
	_, known := r.Keys[key]
	return key != "" && !known && len(r.Keys) >= maxKeys
}

// IssuedAt is the date of a token that is issued at now: the next second after the cutoff, where that
// has not passed.
func (r *Record) IssuedAt(now time.Time) time.Time {
	if now.Unix() <= r.Cutoff {
		return time.Unix(r.Cutoff+1, 0)
	}
	return now
}

// cut revokes everything up to now. Tokens since the last cutoff may be dated a second after it, which may
// still be to come.
func (r *Record) cut(now time.Time) Record {
	return Record{Subject: r.Subject, Until: r.Until, Cutoff: max(r.Cutoff+1, now.Add(cutoffAhead).Unix())}
}

func (r *Record) clone() Record {
	c := *r
	c.Teams = slices.Clone(r.Teams)
	c.Keys = maps.Clone(r.Keys)
	return c
}
