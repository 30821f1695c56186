package tokens

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	managementv1 "loft.sh/agent/apis/management/v1"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/accesskey"
	"loft.sh/agent/pkg/manager/tokens/issued"
	"loft.sh/agent/pkg/manager/tokens/signingkeys"
	"loft.sh/agent/pkg/statuserr"
)

const (
	// MaxTokenBytes is the longest token that is issued: proxies refuse longer headers.
	MaxTokenBytes = 4 << 10

	// AuditAnnotation of a request for a token holds the token's jti, by which it can be revoked.
	AuditAnnotation = "management.loft.sh/issued-token-id"

	retryAfterSeconds = 1
)

var (
	errStranger   = errors.New("direct endpoint tokens are for users and teams of this manager, and you are neither")
	errRefused    = errors.New("the user, the team or the access key was disabled, or is gone")
	errForeignKey = errors.New("the access key is somebody else's")
)

// Issuer issues direct endpoint tokens. It is safe for concurrent use.
type Issuer struct {
	policy  *access.Policy
	keys    *signingkeys.Keeper
	store   *issued.Store
	clock   clock.PassiveClock
	options Options
}

// Issue returns a token for whoever info is, with the time when it ends. Every error is an
// apierrors.APIStatus, fit to be an answer.
func (i *Issuer) Issue(
	ctx context.Context, info user.Info, spec managementv1.DirectClusterEndpointTokenSpec,
) (managementv1.DirectClusterEndpointTokenStatus, error) {
	status, err := i.issue(ctx, info, spec)
	count(err)
	return status, err
}

func (i *Issuer) issue(
	ctx context.Context, info user.Info, spec managementv1.DirectClusterEndpointTokenSpec,
) (status managementv1.DirectClusterEndpointTokenStatus, err error) {
	if !i.policy.Synced() {
		return status, unavailable(ctx, errNotReady, "this manager is still starting")
	}
	person := i.policy.Person(info)
	claims, owner, err := i.subject(&person)
	if err != nil {
		return status, err
	}
	ring, err := i.keys.Ring()
	if err != nil {
		return status, unavailable(ctx, err, "there is no key to sign tokens with at the moment")
	}
	now := i.clock.Now()
	key := ring.Active(now)
	expiry, err := i.expiry(&person, spec.TTL, now, min(i.options.MaxLifetime, key.MaxLifetime))
	if err != nil {
		return status, err
	}
	claims.Expiry = jwt.NewNumericDate(expiry)
	if err := i.aim(ctx, &person, spec.Scope, &claims); err != nil {
		return status, err
	}
	if err := i.date(ctx, owner, &claims); err != nil {
		return status, err
	}
	token, err := key.Signer.Sign(claims)
	if err != nil {
		return status, apierrors.NewBadRequest(err.Error())
	}
	if len(token) > MaxTokenBytes {
		return status, apierrors.NewBadRequest(fmt.Sprintf(
			"the token would have %d bytes, and proxies take %d: name fewer clusters or spaces in spec.scope, or be in fewer teams (%d)",
			len(token), MaxTokenBytes, len(person.Teams)))
	}
	audit.AddAuditAnnotation(ctx, AuditAnnotation, claims.ID)
	end := metav1.NewTime(claims.Expiry.Time())
	return managementv1.DirectClusterEndpointTokenStatus{Token: token, ExpirationTimestamp: &end}, nil
}

// subject fills in who the token is for.
func (i *Issuer) subject(person *access.Person) (claims accesstoken.Claims, owner issued.Owner, err error) {
	if person.Refused() {
		return claims, owner, forbidden(errRefused)
	}
	owner = issued.Owner{Enabled: true, Key: i.keyOf(person)}
	switch {
	case person.User != "":
		u, err := i.policy.User(person.User)
		if err != nil {
			return claims, owner, forbidden(errStranger)
		}
		owner.UID, owner.Teams = string(u.UID), person.Teams
		claims.Subject, claims.Groups = accesstoken.PersonName(u.Name), accesstoken.PersonGroups(u.Name, person.Teams...)
	case person.Team != "":
		t, err := i.policy.Team(person.Team)
		if err != nil {
			return claims, owner, forbidden(errStranger)
		}
		owner.UID = string(t.UID)
		claims.Subject, claims.Groups = accesstoken.TeamName(t.Name), accesstoken.TeamGroups(t.Name)
	default:
		return claims, owner, forbidden(errStranger)
	}
	if key := person.AccessKey; key != nil {
		if key.Spec.User != person.User || key.Spec.Team != person.Team {
			return claims, owner, forbidden(errForeignKey)
		}
		claims.AccessKey = key.Name
	}
	claims.UID, claims.ID = owner.UID, rand.Text()
	return claims, owner, nil
}

// keyOf answers about the person's own key as it was read, so that what is written down is what the
// token says.
func (i *Issuer) keyOf(person *access.Person) func(string) (issued.Version, bool) {
	all := owners{directory: i.policy.Directory, now: i.clock.Now()}
	return func(name string) (issued.Version, bool) {
		if own := person.AccessKey; own != nil && own.Name == name {
			return versionOf(own), usable(own, all.now)
		}
		return all.key(name)
	}
}

// expiry is when a token ends that shall live for ttl seconds; its access key may end it sooner.
func (i *Issuer) expiry(person *access.Person, ttl int64, now time.Time, longest time.Duration) (time.Time, error) {
	path := field.NewPath("spec", "ttl")
	lifetime := min(defaultLifetime, longest)
	switch {
	case ttl < 0 || ttl > 0 && ttl < int64(minLifetime/time.Second):
		return time.Time{}, invalid(field.Invalid(path, ttl, fmt.Sprintf("must be at least %d seconds, or 0 for the default", int64(minLifetime/time.Second))))
	case ttl > int64(longest/time.Second):
		return time.Time{}, invalid(field.Invalid(path, ttl, fmt.Sprintf("must be at most %d seconds", int64(longest/time.Second))))
	case ttl > 0:
		lifetime = time.Duration(ttl) * time.Second
	}
	expiry := now.Add(lifetime)
	if person.AccessKey != nil {
		if end, ends := accesskey.Expiry(person.AccessKey, now); ends && end.Before(expiry) {
			expiry = end
		}
	}
	if expiry.Sub(now) < time.Second {
		return time.Time{}, forbidden(accesskey.ErrExpired)
	}
	return expiry, nil
}

// date writes down what is about to be signed, and dates it.
func (i *Issuer) date(ctx context.Context, owner issued.Owner, claims *accesstoken.Claims) error {
	token := issued.Token{Subject: claims.Subject, AccessKey: claims.AccessKey, Expiry: claims.Expiry.Time()}
	issuedAt, err := i.store.Note(ctx, token, owner)
	if err != nil {
		return unavailable(ctx, err, "the token cannot be written down at the moment")
	}
	if !claims.Expiry.Time().After(issuedAt) {
		return unavailable(ctx, errors.New("access key ends before the next token can begin"), "no token can be issued at the moment")
	}
	claims.IssuedAt = jwt.NewNumericDate(issuedAt)
	return nil
}

func forbidden(err error) error {
	return apierrors.NewForbidden(managementv1.Resource("directclusterendpointtokens"), "", err)
}

func invalid(errs ...*field.Error) error {
	return apierrors.NewInvalid(managementv1.Kind("DirectClusterEndpointToken"), "", errs)
}

// unavailable tells the log what happened, and the client to come again.
func unavailable(ctx context.Context, err error, message string) error {
	klog.FromContext(ctx).Error(err, "No direct endpoint token issued")
	return statuserr.Unavailable(message, retryAfterSeconds)
}
