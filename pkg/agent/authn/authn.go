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
)

var (
	// ErrNoCredential says that a request carries nothing to authenticate by.
	ErrNoCredential = errors.New("no credential: send a bearer token")
	// ErrUnchecked says that a credential could not be checked, which says nothing about it.
	ErrUnchecked = bearer.ErrUnchecked
)

// Caller is who made a request.
type Caller struct {
	User user.Info
	// Token is the direct endpoint token that proved it; nil where something else did.
	Token *accesstoken.Identity
}

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
func (a *Authenticator) Authenticate(r *http.Request) (Caller, error) {
	token := bearer.Token(r.Header)
	var unjudged error
	if token != "" {
		identity, cached, err := a.Direct.Lookup(token)
		countVerification(cached, err)
		switch {
		case err == nil:
			return Caller{User: identity.User, Token: identity}, nil
		case errors.Is(err, accesstoken.ErrNoBundle):
			unjudged = err
		case !errors.Is(err, accesstoken.ErrForeign):
			// A token of our issuer that fails is never passed on.
			return Caller{}, err
		}
	}
	if caller, ok := a.byConnection(r); ok {
		return caller, nil
	}
	if token == "" {
		return Caller{}, ErrNoCredential
	}
	caller, err := a.review(r, token)
	if err != nil && unjudged != nil {
		// The host does not know the token, but we might have.
		return Caller{}, fmt.Errorf("%w: %w", ErrUnchecked, unjudged)
	}
	return caller, err
}

// byConnection asks without the bearer token, which is not its business.
func (a *Authenticator) byConnection(r *http.Request) (Caller, bool) {
	if a.Certificates == nil || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return Caller{}, false
	}
	bare := *r
	bare.Header = r.Header.Clone()
	bare.Header.Del("Authorization")
	bare.Header.Del(bearer.WebSocketProtocolHeader)
	resp, ok, err := a.Certificates.AuthenticateRequest(&bare)
	if err != nil || !ok || resp.User.GetName() == user.Anonymous {
		return Caller{}, false
	}
	return Caller{User: resp.User}, true
}

func (a *Authenticator) review(r *http.Request, token string) (Caller, error) {
	if len(token) > bearer.MaxReviewedToken {
		return Caller{}, errors.New("bearer token too large")
	}
	resp, ok, err := a.Reviewer.AuthenticateToken(r.Context(), token)
	if err != nil {
		return Caller{}, fmt.Errorf("token review: %w", err)
	}
	if !ok {
		return Caller{}, errors.New("bearer token not known to the cluster")
	}
	return Caller{User: resp.User}, nil
}
