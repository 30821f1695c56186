package signingkeys

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"loft.sh/agent/pkg/accesstoken"
)

// Ring is the keys of one Secret. It is never changed.
type Ring struct {
	issuer string
	// keys are the oldest first, in strictly ascending order of From.
	keys []Key
	// handled is the last request for a rotation by hand that was served.
	handled string
}

// Key is one signing key.
type Key struct {
	// Signer signs with the key; its PublicJWK is what bundles hold.
	Signer *accesstoken.Signer
	// From is when the key begins to sign.
	From time.Time
	// MaxLifetime is how long a token of this key lives at most.
	MaxLifetime time.Duration

	private *ecdsa.PrivateKey
}

// ID is the kid of the key's tokens.
func (k *Key) ID() string { return k.Signer.PublicJWK().KeyID }

// Active is the key that signs at now: the newest whose time has come. The oldest is it where none's
// has, as it is for a manager whose clock is behind that of the leader.
func (r *Ring) Active(now time.Time) *Key {
	for i := len(r.keys) - 1; i > 0; i-- {
		if !now.Before(r.keys[i].From) {
			return &r.keys[i]
		}
	}
	return &r.keys[0]
}

// Public returns the public keys, those of the future too, oldest first.
func (r *Ring) Public() []jose.JSONWebKey {
	public := make([]jose.JSONWebKey, 0, len(r.keys))
	for i := range r.keys {
		public = append(public, r.keys[i].Signer.PublicJWK())
	}
	return public
}

// newKey makes a key that signs from then on; seconds are all that is kept of a time.
func newKey(issuer string, from time.Time, maxLifetime time.Duration) (Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("generate signing key: %w", err)
	}
	signer, err := accesstoken.NewSigner(issuer, private)
	if err != nil {
		return Key{}, err
	}
	return Key{Signer: signer, From: from.UTC().Truncate(time.Second), MaxLifetime: maxLifetime, private: private}, nil
}
