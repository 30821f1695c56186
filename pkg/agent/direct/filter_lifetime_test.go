package direct

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	clocktesting "k8s.io/utils/clock/testing"

	"loft.sh/agent/pkg/accesstoken"
)

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

// verified is the identity of a good token.
func verified(t *testing.T, verifier *accesstoken.Verifier, token string) *accesstoken.Identity {
	t.Helper()
	identity, err := verifier.Verify(token)
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

func TestOpenStreamEndsWithItsToken(t *testing.T) {
	for _, tc := range []struct {
		name       string
		do         func(*clocktesting.FakeClock, *accesstoken.Verifier, accesstoken.Bundle)
		wantReason accesstoken.Reason
	}{
		{"expired", func(clock *clocktesting.FakeClock, _ *accesstoken.Verifier, _ accesstoken.Bundle) {
			clock.Step(2 * time.Hour)
		}, accesstoken.ReasonExpired},
		{"revoked", func(_ *clocktesting.FakeClock, v *accesstoken.Verifier, b accesstoken.Bundle) {
			b.Revocations.TokenIDs = []string{"one"}
			v.SetBundle(&b)
		}, accesstoken.ReasonRevoked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(time.Now())
			verifier, bundle, token := issue(t, clock)
			lifetimes := NewLifetimes(verifier, clock)
			ctx, release := lifetimes.track(t.Context(), &lifetime{token: verified(t, verifier, token)})
			defer release()
			running, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); lifetimes.Run(running) }()
			for !clock.HasWaiters() {
				select {
				case <-done:
					t.Fatal("Run returned")
				default:
				}
			}
			if ctx.Err() != nil {
				t.Fatal("ended before its token")
			}
			tc.do(clock, verifier, bundle)
			<-ctx.Done()
			var cause *accesstoken.Error
			if !errors.As(context.Cause(ctx), &cause) || cause.Reason != tc.wantReason {
				t.Errorf("cause %v, want reason %q", context.Cause(ctx), tc.wantReason)
			}
			stop()
			<-done
		})
	}
}

func TestReleasedStreamIsForgotten(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	verifier, _, token := issue(t, clock)
	lifetimes := NewLifetimes(verifier, clock)
	ctx, release := lifetimes.track(t.Context(), &lifetime{token: verified(t, verifier, token)})
	release()
	if len(lifetimes.open) != 0 || ctx.Err() == nil {
		t.Errorf("%d streams kept, context error %v", len(lifetimes.open), ctx.Err())
	}
}
