package authn

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/klog/v2"

	"loft.sh/agent/pkg/bearer"
	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/statuserr"
)

// errUnknown says that a credential means nothing to who was asked.
var errUnknown = errors.New("the credential is not known")

// Provider tells whether a token is one of an identity provider's, and good. ok is false where it is
// another's.
type Provider interface {
	AuthenticateToken(ctx context.Context, token string) (response *authenticator.Response, ok bool, err error)
}

// Authenticator decides by the credential of a request. Requests must have been through
// doors.ClientAddresses, so that their address can be believed.
type Authenticator struct {
	Directory *access.Directory
	Keys      *Keys
	// OIDC may be nil: there is no provider.
	OIDC Provider
	// Reviewer asks the central cluster.
	Reviewer authenticator.Token
	Limiter  *Limiter
}

// Authenticate returns who made r. An error is an API status error: 401 where the credential is missing
// or wrong, 403 where it stands for nobody in particular, 429 where too many were wrong, 503 where it
// could not be checked.
func (a *Authenticator) Authenticate(r *http.Request) (door.Caller, error) {
	token := bearer.Token(r.Header)
	if token == "" {
		count(methodNone, resultRefused)
		return door.Caller{}, unauthorized("no credential: send an access key as bearer token")
	}
	caller, err := a.Keys.known(token)
	if err == nil {
		count(methodKey, resultAuthenticated)
		return caller, nil
	}
	address := doors.ClientIP(r)
	if wait := a.Limiter.take(address); wait > 0 {
		count(methodNone, resultLimited)
		return door.Caller{}, apierrors.NewTooManyRequests(
			"too many failed attempts to authenticate from your address", int(math.Ceil(wait.Seconds())))
	}
	method := methodKey
	if errors.Is(err, errUnknown) {
		caller, method, err = a.ask(r.Context(), token)
	}
	if err == nil || errors.Is(err, bearer.ErrUnchecked) {
		a.Limiter.giveBack(address)
	}
	count(method, result(err))
	return caller, refusal(r.Context(), err)
}

func result(err error) string {
	switch {
	case err == nil:
		return resultAuthenticated
	case errors.Is(err, bearer.ErrUnchecked):
		return resultUnchecked
	}
	return resultRefused
}

// ask finds out about a token that no known access key is. method is who was asked last.
func (a *Authenticator) ask(ctx context.Context, token string) (caller door.Caller, method string, err error) {
	if len(token) > bearer.MaxReviewedToken {
		return door.Caller{}, methodNone, errors.New("the bearer token is too large")
	}
	if !isJWT(token) {
		if caller, err := a.Keys.find(ctx, token); !errors.Is(err, errUnknown) {
			return caller, methodKey, err
		}
	}
	if a.OIDC != nil {
		response, ok, err := a.OIDC.AuthenticateToken(ctx, token)
		switch {
		case err != nil:
			return door.Caller{}, methodProvider, err
		case ok:
			caller, err := a.stranger(response.User, token, false)
			return caller, methodProvider, err
		}
	}
	response, ok, err := a.Reviewer.AuthenticateToken(ctx, token)
	switch {
	case err != nil:
		return door.Caller{}, methodReview, err
	case !ok:
		return door.Caller{}, methodReview, errUnknown
	}
	caller, err = a.stranger(response.User, token, true)
	return caller, methodReview, err
}

// stranger is who somebody else says it is. The central cluster's word about its own groups is taken.
func (a *Authenticator) stranger(info user.Info, token string, central bool) (door.Caller, error) {
	who, err := a.person(info, central)
	return door.Caller{User: who, Expiry: expiry(token)}, err
}

// refusal is how err is answered; nil where it is nil.
func refusal(ctx context.Context, err error) error {
	var status apierrors.APIStatus
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bearer.ErrUnchecked):
		klog.FromContext(ctx).Error(err, "Credential could not be checked")
		return statuserr.Unavailable("the credential cannot be checked at the moment", 1)
	case errors.As(err, &status):
		return err
	}
	klog.FromContext(ctx).V(3).Info("Request refused", "reason", err)
	return unauthorized(err.Error())
}

// unauthorized begins with the API server's own word, which clients look for.
func unauthorized(why string) error { return apierrors.NewUnauthorized("Unauthorized: " + why) }

// isJWT says whether a token has the form of a signed JWT (RFC 7515, section 7.1).
func isJWT(token string) bool { return strings.Count(token, ".") == 2 }

// expiry reads from a token that was verified when it ends; zero: it does not say.
func expiry(token string) time.Time {
	if !isJWT(token) {
		return time.Time{}
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512, jose.PS256, jose.PS384, jose.PS512, jose.EdDSA,
	})
	if err != nil {
		return time.Time{}
	}
	var claims jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil || claims.Expiry == nil {
		return time.Time{}
	}
	return claims.Expiry.Time()
}
