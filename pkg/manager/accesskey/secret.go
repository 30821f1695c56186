// Package accesskey makes the secrets of access keys and judges keys by the time of day.
//
// What surprises: only a secret's SHA-256 is kept, without salt and without a slow function. Both
// defend secrets that somebody can guess. These are 256 random bits, and an unsalted hash is what a
// key can be looked up by.
package accesskey

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

const (
	// secretBytes is the entropy of a secret.
	secretBytes = 32
	// hashPrefix names the function, so that another one can follow.
	hashPrefix = "sha256:"
	// maxSecretBytes bounds what is hashed for a stranger.
	maxSecretBytes = 1024
)

// New returns a secret, in unpadded base64url (RFC 4648), and its hash as it is kept.
func New() (secret, hash string) {
	random := make([]byte, secretBytes)
	rand.Read(random) // never fails: it ends the program instead
	secret = base64.RawURLEncoding.EncodeToString(random)
	return secret, Hash(secret)
}

// Hash is how the secret of an AccessKey stands in its spec.key. It is empty for what is too long to
// be a secret.
func Hash(secret string) string {
	if len(secret) > maxSecretBytes {
		return ""
	}
	sum := sha256.Sum256([]byte(secret))
	return hashPrefix + hex.EncodeToString(sum[:])
}
