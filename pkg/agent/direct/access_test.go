package direct

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	clocktesting "k8s.io/utils/clock/testing"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/door"
)

// decide is what the host's authoriser says.
type decide struct {
	decision authorizer.Decision
	err      error
}

func (d decide) Authorize(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return d.decision, "", d.err
}

// newTarget is what a request at door 1 asks for.
func newTarget(t *testing.T, r *http.Request) *door.Target {
	t.Helper()
	target, err := door.Parse(r, door.At(ClusterPrefix, nil), Hint)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestWhatCannotBeCheckedIsNeitherAllowedNorRefused(t *testing.T) {
	alice := &door.Caller{User: &user.DefaultInfo{Name: "loft:user:alice"}}
	readOnly := &door.Caller{User: alice.User, Token: &accesstoken.Identity{Scope: accesstoken.Scope{ReadOnly: true}}}
	for _, tc := range []struct {
		name, method string
		host         decide
		caller       *door.Caller
		want         func(error) bool
		wantWords    []string
	}{
		{"yes", http.MethodGet, decide{decision: authorizer.DecisionAllow}, alice, func(err error) bool { return err == nil }, nil},
		{"no", http.MethodGet, decide{decision: authorizer.DecisionNoOpinion}, alice, apierrors.IsForbidden,
			[]string{"loft:user:alice", "kubernetes/proxy", "get"}},
		{"never", http.MethodGet, decide{decision: authorizer.DecisionDeny}, alice, apierrors.IsForbidden, nil},
		{"cannot be asked", http.MethodGet, decide{decision: authorizer.DecisionNoOpinion, err: errors.New("down")}, alice, apierrors.IsServiceUnavailable, nil},
		{"yes, out of the token's scope", http.MethodPost, decide{decision: authorizer.DecisionAllow}, readOnly, apierrors.IsForbidden,
			[]string{"the token is read-only"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, ClusterPrefix+"/api/v1/namespaces/a/pods", nil)
			err := NewAccess(authorizer.AuthorizerFunc(tc.host.Authorize), nil).Permit(r, tc.caller, newTarget(t, r))
			if !tc.want(err) {
				t.Errorf("unexpected: %v", err)
			}
			for _, word := range tc.wantWords {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("message %q does not name %q", err, word)
				}
			}
		})
	}
}

func TestDoorDoesNotLeadThroughItself(t *testing.T) {
	access := NewAccess(authorizer.AuthorizerFunc(decide{decision: authorizer.DecisionAllow}.Authorize), nil)
	for _, tc := range []struct {
		name, prefix, path string
		want               bool
	}{
		{"once", ProxyPrefix, "/api/v1/pods", true},
		{"another resource of the agent's", ProxyPrefix, "/apis/cluster.loft.sh/v1/spaces", true},
		{"from door 1", ClusterPrefix, ProxyPrefix + "/api", true},
		{"twice", ProxyPrefix, ProxyPrefix + "/api", false},
		{"twice, spelled with escapes", ProxyPrefix, "/apis/cluster.loft.sh/v1/kubernetes/cluster/%70roxy/api", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, tc.prefix+tc.path, nil)
			target, err := door.Parse(r, door.At(tc.prefix, nil), Hint)
			if err != nil {
				t.Fatal(err)
			}
			err = access.Permit(r, &door.Caller{User: &user.DefaultInfo{Name: "loft:user:alice"}}, target)
			if (err == nil) != tc.want || err != nil && !apierrors.IsBadRequest(err) {
				t.Errorf("error %v, want permitted %t", err, tc.want)
			}
		})
	}
}

// issue returns a verifier, its bundle, and a token that is good for an hour.
func issue(t *testing.T, clock *clocktesting.FakeClock) (*accesstoken.Verifier, accesstoken.Bundle, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := accesstoken.NewSigner("https://manager.example.com", key)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(accesstoken.Claims{
		Subject: accesstoken.PersonName("alice"), Groups: accesstoken.PersonGroups("alice"), Audience: jwt.Audience{"uid-1"}, ID: "one",
		IssuedAt: jwt.NewNumericDate(clock.Now()), Expiry: jwt.NewNumericDate(clock.Now().Add(time.Hour)),
	})
	if err != nil {
		t.Fatal(err)
	}
	bundle := accesstoken.Bundle{Issuer: signer.Issuer(), ClusterUID: "uid-1"}
	bundle.JWKS.Keys = append(bundle.JWKS.Keys, signer.PublicJWK())
	verifier := accesstoken.NewVerifier(clock)
	verifier.SetBundle(&bundle)
	return verifier, bundle, token
}

func TestStreamMayStayAsLongAsItsToken(t *testing.T) {
	for _, tc := range []struct {
		name       string
		do         func(*clocktesting.FakeClock, *accesstoken.Verifier, accesstoken.Bundle)
		wantReason accesstoken.Reason
		wantWord   string
	}{
		{"good", func(*clocktesting.FakeClock, *accesstoken.Verifier, accesstoken.Bundle) {}, "", ""},
		{"expired", func(clock *clocktesting.FakeClock, _ *accesstoken.Verifier, _ accesstoken.Bundle) {
			clock.Step(2 * time.Hour)
		}, accesstoken.ReasonExpired, "has expired"},
		{"revoked", func(_ *clocktesting.FakeClock, v *accesstoken.Verifier, b accesstoken.Bundle) {
			b.Revocations.TokenIDs = []string{"one"}
			v.SetBundle(&b)
		}, accesstoken.ReasonRevoked, "was revoked"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(time.Now())
			verifier, bundle, token := issue(t, clock)
			identity, err := verifier.Verify(token)
			if err != nil {
				t.Fatal(err)
			}
			access := NewAccess(authorizer.AuthorizerFunc(decide{}.Authorize), verifier)
			changed := access.Changed()
			tc.do(clock, verifier, bundle)
			end := access.Still(&door.Caller{Token: identity}, nil)
			if tc.wantReason == "" {
				if end != nil {
					t.Errorf("ended: %v", end)
				}
				return
			}
			var cause *accesstoken.Error
			if end == nil || !errors.As(end, &cause) || cause.Reason != tc.wantReason || !strings.Contains(end.Message, tc.wantWord) {
				t.Fatalf("end %v of %v, want reason %q", end, cause, tc.wantReason)
			}
			if tc.wantReason == accesstoken.ReasonRevoked {
				<-changed
			}
		})
	}
}

func TestStreamOfAnotherCredentialStays(t *testing.T) {
	verifier, _, _ := issue(t, clocktesting.NewFakeClock(time.Now()))
	if end := NewAccess(authorizer.AuthorizerFunc(decide{}.Authorize), verifier).Still(&door.Caller{}, nil); end != nil {
		t.Errorf("ended: %v", end)
	}
}
