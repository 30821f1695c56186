package accesstoken

import (
	"crypto"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"
)

// Identity is what a good token says. It is shared by all requests with that token: never change it.
type Identity struct {
	User user.Info
	// Scope narrows what the token may do; its zero value does not.
	Scope Scope
	// ID is the jti, AccessKey the access key's name (may be empty), KeyID the kid.
	ID, AccessKey, KeyID string
	IssuedAt, Expiry     time.Time

	audience  string
	issuer    string
	validFrom time.Time // the later of nbf and iat, less the leeway
	key       crypto.PublicKey
}

// Verifier judges tokens with the bundle that was set last. It is safe for concurrent use, and a token that
// was seen before costs one hash and takes no lock that a writer holds for long.
type Verifier struct {
	clock    clock.PassiveClock
	digester *digester
	setting  sync.Mutex
	current  atomic.Pointer[snapshot]
}

// snapshot is everything that follows from one bundle. It is replaced whole, and its cache goes with it.
type snapshot struct {
	bundle *Bundle // nil: none
	keys   map[string]verificationKey
	cache  cache

	revokedTokens     map[string]bool
	revokedAccessKeys map[string]bool
	revokedSubjects   map[string]int64 // the last iat that is revoked
	revokedBefore     int64            // the last iat that is revoked for everybody; -1: none

	changed chan struct{} // closed when the next snapshot is there
}

type verificationKey struct {
	algorithm jose.SignatureAlgorithm
	public    crypto.PublicKey
}

// NewVerifier has no bundle yet: it refuses every JWT.
func NewVerifier(c clock.PassiveClock) *Verifier {
	v := &Verifier{clock: c, digester: newDigester()}
	v.current.Store(newSnapshot(nil))
	return v
}

// SetBundle replaces the bundle. The caller must not change b afterwards. A bundle that Validate rejects,
// which ParseBundle never returns, counts as none.
func (v *Verifier) SetBundle(b *Bundle) {
	if b != nil && b.Validate() != nil {
		b = nil
	}
	v.setting.Lock()
	defer v.setting.Unlock()
	previous := v.current.Swap(newSnapshot(b))
	close(previous.changed)
}

// Bundle is the current bundle, nil when there is none. It must not be changed.
func (v *Verifier) Bundle() *Bundle { return v.current.Load().bundle }

// Changed is closed when the next bundle is set. Take the channel first and call Valid after, so that no
// change falls between.
func (v *Verifier) Changed() <-chan struct{} { return v.current.Load().changed }

// Verify judges a token as the package comment says. An error is ErrForeign, ErrNoBundle or an *Error.
func (v *Verifier) Verify(token string) (*Identity, error) {
	id, _, err := v.Lookup(token)
	return id, err
}

// Lookup is Verify, and says whether the answer was known already.
func (v *Verifier) Lookup(token string) (id *Identity, cached bool, err error) {
	if len(token) > MaxTokenBytes {
		return nil, false, refuse(ReasonTooLarge, "longer than 16 KiB")
	}
	s := v.current.Load()
	if s.bundle == nil {
		if looksLikeJWT(token) {
			return nil, false, ErrNoBundle
		}
		return nil, false, ErrForeign
	}
	d := v.digester.of(token)
	if id := s.cache.get(d); id != nil {
		if err := id.checkTime(v.clock.Now()); err != nil {
			s.cache.remove(d)
			return nil, true, err
		}
		return id, true, nil
	}
	if id, err = s.verify(token, v.clock.Now()); err != nil {
		return nil, false, err
	}
	s.cache.put(d, id)
	return id, false, nil
}

// Valid judges an identity that Verify returned earlier once more, with the current bundle and time: is its
// key still there, is it revoked or expired? It costs a few map look-ups. Long requests end when it errs.
func (v *Verifier) Valid(id *Identity) error {
	s := v.current.Load()
	if s.bundle == nil {
		return ErrNoBundle
	}
	return s.check(id, v.clock.Now())
}

func newSnapshot(b *Bundle) *snapshot {
	s := &snapshot{bundle: b, changed: make(chan struct{}), revokedBefore: -1}
	if b == nil {
		return s
	}
	s.keys = make(map[string]verificationKey, len(b.JWKS.Keys))
	for _, key := range b.JWKS.Keys {
		if alg, err := algorithmOf(key.Key); err == nil { // always, in a valid bundle
			s.keys[key.KeyID] = verificationKey{algorithm: alg, public: key.Key}
		}
	}
	s.revokedTokens = setOf(b.Revocations.TokenIDs)
	s.revokedAccessKeys = setOf(b.Revocations.AccessKeys)
	if before := b.Revocations.IssuedBefore; before != nil {
		s.revokedBefore = *before
	}
	s.revokedSubjects = map[string]int64{}
	for _, r := range b.Revocations.Subjects {
		last := int64(maxUnix)
		if r.IssuedBefore != nil {
			last = *r.IssuedBefore
		}
		if known, ok := s.revokedSubjects[r.Subject]; !ok || last > known {
			s.revokedSubjects[r.Subject] = last
		}
	}
	return s
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, item := range list {
		set[item] = true
	}
	return set
}
