// Package proof is what manager and agent agree on, so that the manager can tell whether the agent of
// one cluster stands behind an endpoint.
//
// The manager makes a nonce and sends it to the endpoint. The agent there answers with a token of its
// own service account whose one audience holds the nonce. The manager has the cluster that it
// means, which it reaches another way, review that token: no other cluster's token passes there.
//
// What surprises:
//   - The token is worth nothing elsewhere: no API server takes a token of this audience for itself.
//   - Nobody but the manager may ask, with a token for this purpose, which opens nothing else: an
//     endpoint's annotation may lead it to a stranger.
//   - It proves who answers, not that nobody stands between: a proxy that ends TLS is how
//     many endpoints are made.
package proof

import (
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"loft.sh/agent/pkg/accesstoken"
)

const (
	// Path is where the agent answers a POST, on its outer listeners.
	Path = "/kubernetes/proof"
	// NonceParameter is the query parameter with the nonce.
	NonceParameter = "nonce"
	// Namespace is that of the agent's service account.
	Namespace = "loft"
	// Account is the name of the agent's service account.
	Account = "loft-agent"
	// Username is what an API server calls the account.
	Username = "system:serviceaccount:" + Namespace + ":" + Account
	// Lifetime of the agent's token: the shortest that an API server gives.
	Lifetime = 10 * time.Minute

	audiencePrefix = "loft.sh/endpoint-proof:"
	maxNonce       = 64
	minNonce       = 16
)

// Prober is the subject of the manager's token. No User has it: the name of an object has no colon.
var Prober = accesstoken.PersonName("loft-manager:endpoint-prober")

// NewNonce returns 128 random bits and more.
func NewNonce() string { return rand.Text() }

// CheckNonce wants 16 to 64 letters and digits.
func CheckNonce(nonce string) error {
	strange := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if len(nonce) < minNonce || len(nonce) > maxNonce || strings.ContainsFunc(nonce, strange) {
		return errors.New("the query parameter \"" + NonceParameter + "\" must be 16 to 64 letters and digits")
	}
	return nil
}

// Audience is the one audience of the answer to a nonce.
func Audience(nonce string) string { return audiencePrefix + nonce }
