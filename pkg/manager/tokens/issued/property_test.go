package issued

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	clocktesting "k8s.io/utils/clock/testing"

	"loft.sh/agent/pkg/accesstoken"
)

var testNow = time.Unix(1_800_000_000, 0)

// truth is the people and keys of a moment. It is copied before it is changed.
type truth struct {
	users map[string]person
	keys  map[string]accessKey
}

type person struct {
	uid      string
	disabled bool
	teams    []string
}

type accessKey struct {
	owner    string
	version  Version
	disabled bool
}

func (t truth) owner(user string) Owner {
	p, exists := t.users[user]
	return Owner{Enabled: exists && !p.disabled, UID: p.uid, Teams: p.teams, Key: func(name string) (Version, bool) {
		k, exists := t.keys[name]
		return k.version, exists && !k.disabled
	}}
}

// simulation is managers, agents and people who do what they should not.
type simulation struct {
	*testing.T
	random  *rand.Rand
	clock   *clocktesting.FakePassiveClock
	signer  *accesstoken.Signer
	past    []truth // the last is the present
	records map[string]Record
	tokens  []*issuedToken
	serial  int

	refused, accepted int
}

// issuedToken is a token with what it was issued for.
type issuedToken struct {
	identity *accesstoken.Identity
	user     string
	uid      string
	teams    []string
	key      string
	version  Version
	// fresh: nothing that is about this user has happened since.
	fresh bool
	// dead: it had to be refused once, and stays so.
	dead bool
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := accesstoken.NewSigner("https://loft.example.com", private)
	if err != nil {
		t.Fatal(err)
	}
	s := &simulation{
		T: t, random: rand.New(rand.NewPCG(seed, seed)), clock: clocktesting.NewFakePassiveClock(testNow), signer: signer,
		records: map[string]Record{}, past: []truth{{users: map[string]person{}, keys: map[string]accessKey{}}},
	}
	for _, user := range []string{"alice", "bob", "eve"} {
		s.change(user, func(now *truth) { s.makeUser(now, user) })
		for i := range 2 {
			s.change(user, func(now *truth) { s.makeKey(now, fmt.Sprintf("%s-%d", user, i), user) })
		}
	}
	return s
}

func (s *simulation) next() string { s.serial++; return fmt.Sprint(s.serial) }

func (s *simulation) present() truth { return s.past[len(s.past)-1] }

func (s *simulation) makeUser(now *truth, name string) {
	now.users[name] = person{uid: s.next(), teams: s.someTeams()}
}

func (s *simulation) makeKey(now *truth, name, owner string) {
	now.keys[name] = accessKey{owner: owner, version: Version{UID: s.next()}}
}

func (s *simulation) someTeams() []string {
	return slices.DeleteFunc([]string{"blue", "green", "red"}, func(string) bool { return s.random.IntN(2) == 0 })
}

// change makes a new present, in which something about a user is different.
func (s *simulation) change(user string, how func(*truth)) {
	now := truth{users: maps.Clone(s.present().users), keys: maps.Clone(s.present().keys)}
	how(&now)
	s.past = append(s.past, now)
	for _, token := range s.tokens {
		token.fresh = token.fresh && token.user != user
	}
}

func (s *simulation) pick(names []string) string { return names[s.random.IntN(len(names))] }

// happen is one thing that an administrator does.
func (s *simulation) happen() {
	user := s.pick([]string{"alice", "bob", "eve"})
	key := fmt.Sprintf("%s-%d", user, s.random.IntN(2))
	s.change(user, func(now *truth) {
		p, exists := now.users[user]
		k, keyExists := now.keys[key]
		switch s.random.IntN(8) {
		case 0, 1, 2:
			p.teams = s.someTeams()
		case 3:
			p.disabled = !p.disabled
		case 4:
			if exists {
				delete(now.users, user)
			} else {
				s.makeUser(now, user)
			}
			return
		case 5:
			k.disabled = !k.disabled
		case 6:
			if keyExists {
				delete(now.keys, key)
			} else {
				s.makeKey(now, key, user)
			}
			return
		case 7:
			k.version.Scope = s.next()
		}
		if exists {
			now.users[user] = p
		}
		if keyExists {
			now.keys[key] = k
		}
	})
}

// issue is a manager that gives a token to whom it takes for entitled. behind is how many changes its
// caches have not seen. Its clock is its own.
func (s *simulation) issue(behind int) {
	seen := s.past[max(0, len(s.past)-1-behind)]
	user := s.pick([]string{"alice", "bob", "eve"})
	owner := seen.owner(user)
	now := s.clock.Now().Add(time.Duration(s.random.IntN(8)-4) * time.Second)
	token := Token{Subject: accesstoken.PersonName(user), Expiry: now.Add(time.Duration(1+s.random.IntN(24)) * time.Hour)}
	if name := fmt.Sprintf("%s-%d", user, s.random.IntN(3)); seen.keys[name].owner == user {
		token.AccessKey = name
	}
	record := s.records[token.Subject]
	extended, changed, err := record.Extend(token, owner, now)
	if err != nil {
		return
	}
	// Between what was read and what is signed another manager may look.
	if s.random.IntN(4) == 0 {
		s.lead(3)
		if changed && fmt.Sprint(s.records[token.Subject]) != fmt.Sprint(record) {
			return // the write is a conflict
		}
		behind = 1
	}
	if changed {
		s.records[token.Subject] = extended
	}
	if behind > 0 { // a manager that knows less may have to revoke what others issued
		s.change(user, func(*truth) {})
	}
	s.sign(user, token, owner, extended.IssuedAt(now), behind == 0)
}

func (s *simulation) sign(user string, token Token, owner Owner, issuedAt time.Time, fresh bool) {
	s.Helper()
	text, err := s.signer.Sign(accesstoken.Claims{
		Subject: token.Subject, Groups: accesstoken.PersonGroups(user, owner.Teams...), UID: owner.UID, AccessKey: token.AccessKey,
		Audience: jwt.Audience{"c"}, IssuedAt: jwt.NewNumericDate(issuedAt), Expiry: jwt.NewNumericDate(token.Expiry),
	})
	if err != nil {
		s.Fatal(err)
	}
	identity, err := s.agent(accesstoken.Revocations{}).Verify(text)
	if err != nil {
		s.Fatalf("an agent without revocations: %v", err)
	}
	made := &issuedToken{identity: identity, user: user, uid: owner.UID, teams: owner.Teams, key: token.AccessKey, fresh: fresh}
	if made.key != "" {
		made.version, _ = owner.Key(made.key)
	}
	s.tokens = append(s.tokens, made)
}

func (s *simulation) agent(revocations accesstoken.Revocations) *accesstoken.Verifier {
	s.Helper()
	v := accesstoken.NewVerifier(s.clock)
	v.SetBundle(&accesstoken.Bundle{
		Issuer: s.signer.Issuer(), ClusterUID: "c", Revocations: revocations,
		JWKS: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{s.signer.PublicJWK()}},
	})
	if v.Bundle() == nil {
		s.Fatal("the bundle is not valid")
	}
	return v
}

// lead is a leader's look through the records, which may end after some of them. What it saw and wrote
// down is so for good.
func (s *simulation) lead(most int) {
	now := s.clock.Now().Add(time.Duration(s.random.IntN(8)-4) * time.Second)
	for subject, record := range s.records {
		if most--; most < 0 {
			return
		}
		user := subject[len("loft:user:"):]
		settled, changed, ended := record.Settle(s.present().owner(user), now)
		switch {
		case ended:
			delete(s.records, subject)
		case changed:
			s.records[subject] = settled
		}
		for _, token := range s.tokens {
			token.dead = token.dead || token.user == user && s.mustRefuse(token)
		}
	}
}

// mustRefuse says whether the present contradicts a token.
func (s *simulation) mustRefuse(token *issuedToken) bool {
	owner := s.present().owner(token.user)
	if !owner.Enabled || owner.UID != token.uid || slices.ContainsFunc(token.teams, func(t string) bool { return !slices.Contains(owner.Teams, t) }) {
		return true
	}
	if token.key == "" {
		return false
	}
	version, usable := owner.Key(token.key)
	return !usable || version != token.version
}

// check has an agent with the newest bundle judge every token.
func (s *simulation) check() {
	s.Helper()
	var list []Revocation
	for subject, record := range s.records {
		list = append(list, record.Revocations(s.present().owner(subject[len("loft:user:"):]))...)
	}
	agent := s.agent(List(list, nil))
	s.tokens = slices.DeleteFunc(s.tokens, func(t *issuedToken) bool { return !s.clock.Now().Before(t.identity.Expiry) })
	for _, token := range s.tokens {
		err := agent.Valid(token.identity)
		switch {
		case err == nil && (token.dead || s.mustRefuse(token)):
			s.Fatalf("step %d: a revoked token is let in: %+v, record %+v", s.serial, *token, s.records[token.identity.User.GetName()])
		case err != nil && token.fresh && !s.mustRefuse(token):
			s.Fatalf("step %d: a good token is refused: %v: %+v, record %+v", s.serial, err, *token, s.records[token.identity.User.GetName()])
		case err != nil:
			s.refused++
		default:
			s.accepted++
		}
	}
}

// TestNoBundleLetsInWhatWasRevoked runs managers that know too little, clocks that differ and leaders that
// die, and asks after each step: is everything refused that must be, for ever, and nothing else that was
// issued by a manager who knew?
func TestNoBundleLetsInWhatWasRevoked(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newSimulation(t, seed)
			for range 1500 {
				s.serial++
				switch n := s.random.IntN(20); {
				case n < 6:
					s.issue(0)
				case n < 8:
					s.issue(1 + s.random.IntN(4))
				case n < 11:
					s.happen()
				case n < 15:
					s.lead(1 + s.random.IntN(3))
				case n < 19:
					s.clock.SetTime(s.clock.Now().Add(time.Duration(s.random.IntN(20)) * time.Second))
				default:
					s.clock.SetTime(s.clock.Now().Add(time.Duration(s.random.IntN(300)) * time.Minute))
				}
				s.check()
			}
			if s.refused < 1000 || s.accepted < 1000 {
				t.Errorf("only %d refusals and %d acceptances were looked at", s.refused, s.accepted)
			}
		})
	}
}
