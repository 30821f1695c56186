// Package authn says who made a request.
//
// The first answer wins: a direct endpoint token, verified offline · the aggregator's front-proxy
// headers or a client certificate, where a listener takes them · a TokenReview with the host
// cluster. There is no anonymous.
//
// What surprises: a credential that is *wrong* and a credential that could not be *checked* are
// different answers (401 and 503). A client that is told 401 throws its credential away.
package authn

import (
	"errors"
	"fmt"
	"net/http"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/bearer"
	"loft.sh/agent/pkg/door"
)

var (
	// ErrNoCredential says that a request carries nothing to authenticate by.
	ErrNoCredential = errors.New("no credential: send a bearer token")
	// ErrUnchecked says that a credential could not be checked, which says nothing about it.
	ErrUnchecked = bearer.ErrUnchecked
)

// Authenticator decides by the credentials of a request.
type Authenticator struct {
	// Direct verifies direct endpoint tokens.
	Direct *accesstoken.Verifier
	// Certificates decides by the connection: client certificates and front-proxy headers. Nil:
	// neither means anything.
	Certificates authenticator.Request
	// Reviewer asks the host cluster about any other bearer token.
	Reviewer authenticator.Token
}

// Authenticate returns who made r. An error that wraps ErrUnchecked means that nobody could tell;
// any other error means that the credential is missing or wrong.
func (a *Authenticator) Authenticate(r *http.Request) (door.Caller, error) {
	token := bearer.Token(r.Header)
	var unjudged error
	if token != "" {
		identity, cached, err := a.Direct.Lookup(token)
		countVerification(cached, err)
		switch {
		case err == nil:
			return door.Caller{User: identity.User, Token: identity, Expiry: identity.Expiry}, nil
		case errors.Is(err, accesstoken.ErrNoBundle):
			unjudged = err
		case !errors.Is(err, accesstoken.ErrForeign):
			// A token of our issuer that fails is never passed on.
			return door.Caller{}, err
		}
	}
	if caller, ok := a.byConnection(r); ok {
		return caller, nil
	}
	if token == "" {
		return door.Caller{}, ErrNoCredential
	}
	caller, err := a.review(r, token)
	if err != nil && unjudged != nil {
		// The host does not know the token, but we might have.
		return door.Caller{}, fmt.Errorf("%w: %w", ErrUnchecked, unjudged)
	}
	return caller, err
}

// byConnection asks without the bearer token, which is not its business.
func (a *Authenticator) byConnection(r *http.Request) (door.Caller, bool) {
	if a.Certificates == nil || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return door.Caller{}, false
	}
	bare := *r
	bare.Header = r.Header.Clone()
	bare.Header.Del("Authorization")
	bare.Header.Del(bearer.WebSocketProtocolHeader)
	resp, ok, err := a.Certificates.AuthenticateRequest(&bare)
	if err != nil || !ok || resp.User.GetName() == user.Anonymous {
		return door.Caller{}, false
	}
	return door.Caller{User: resp.User}, true
}

func (a *Authenticator) review(r *http.Request, token string) (door.Caller, error) {
	if len(token) > bearer.MaxReviewedToken {
		return door.Caller{}, errors.New("bearer token too large")
	}
	resp, ok, err := a.Reviewer.AuthenticateToken(r.Context(), token)
	if err != nil {
		return door.Caller{}, fmt.Errorf("token review: %w", err)
	}
	if !ok {
		return door.Caller{}, errors.New("bearer token not known to the cluster")
	}
	return door.Caller{User: resp.User}, nil
}
