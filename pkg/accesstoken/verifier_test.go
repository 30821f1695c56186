package accesstoken

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func TestDates(t *testing.T) {
	issued, notBefore, expiry := testNow, testNow.Add(time.Hour), testNow.Add(24*time.Hour)
	tests := []struct {
		name      string
		notBefore *jwt.NumericDate
		now       time.Time
		want      Reason // empty: accepted
	}{
		{"just issued", nil, issued, ""},
		{"issued by a clock 60 s ahead", nil, issued.Add(-Leeway), ""},
		{"issued by a clock more than 60 s ahead", nil, issued.Add(-Leeway - time.Nanosecond), ReasonNotYetValid},
		{"60 s before nbf", date(notBefore), notBefore.Add(-Leeway), ""},
		{"more than 60 s before nbf", date(notBefore), notBefore.Add(-Leeway - time.Nanosecond), ReasonNotYetValid},
		{"nbf long before iat does not help", seconds(0), issued.Add(-Leeway - time.Nanosecond), ReasonNotYetValid},
		{"last moment", nil, expiry.Add(-time.Nanosecond), ""},
		{"expiry itself", nil, expiry, ReasonExpired},
		{"after expiry", nil, expiry.Add(time.Hour), ReasonExpired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			c := aliceClaims()
			c.IssuedAt, c.NotBefore, c.Expiry = date(issued), tt.notBefore, date(expiry)
			token := sign(t, w.signer, c)
			w.clock.SetTime(tt.now)
			if tt.want == "" {
				mustVerify(t, w.verifier, token)
				return
			}
			wantRefused(t, w.verifier, token, tt.want)
		})
	}
}

func TestExpiresWhileCached(t *testing.T) {
	w := newWorld(t)
	token := sign(t, w.signer, aliceClaims())
	id := mustVerify(t, w.verifier, token)
	w.clock.SetTime(id.Expiry)
	wantRefused(t, w.verifier, token, ReasonExpired)
	wantReason(t, w.verifier.Valid(id), ReasonExpired)
	if n := w.verifier.current.Load().cache.len(); n != 0 {
		t.Errorf("%d expired identities are still cached", n)
	}
	wantRefused(t, w.verifier, token, ReasonExpired)
}

func TestClockThatGoesBackRefusesAlsoWhenCached(t *testing.T) {
	w := newWorld(t)
	token := sign(t, w.signer, aliceClaims())
	mustVerify(t, w.verifier, token)
	w.clock.SetTime(testNow.Add(-time.Hour))
	wantRefused(t, w.verifier, token, ReasonNotYetValid)
}

func TestSecondLookIsServedFromCache(t *testing.T) {
	w := newWorld(t)
	token := sign(t, w.signer, aliceClaims())
	first := mustVerify(t, w.verifier, token)
	if second := mustVerify(t, w.verifier, token); first != second {
		t.Error("the identity was made twice")
	}
}

// TestChangedTrustCountsAtOnce sets a changed bundle while a token is cached and its identity in use.
func TestChangedTrustCountsAtOnce(t *testing.T) {
	at := func(d time.Duration) *int64 { n := testNow.Add(d).Unix(); return &n }
	subject := func(name string, before *int64) func(*testing.T, *Bundle) {
		return func(_ *testing.T, b *Bundle) {
			b.Revocations.Subjects = append(b.Revocations.Subjects, SubjectRevocation{Subject: PersonName(name), IssuedBefore: before})
		}
	}
	tests := []struct {
		name   string
		change func(*testing.T, *Bundle)
		want   Reason // empty: still good
	}{
		{"NothingChanged", func(*testing.T, *Bundle) {}, ""},
		{"RemovedKeyIsRefusedAlsoWhenCached", func(t *testing.T, b *Bundle) {
			b.JWKS.Keys = []jose.JSONWebKey{newTestSigner(t, newECKey(t)).PublicJWK()}
		}, ReasonUnknownKey},
		{"AddedKeyKeepsTheOldOne", func(t *testing.T, b *Bundle) {
			b.JWKS.Keys = append(b.JWKS.Keys, newTestSigner(t, newEdKey(t)).PublicJWK())
		}, ""},
		{"RevokedTokenRefusedAlsoWhenCached", func(_ *testing.T, b *Bundle) {
			b.Revocations.TokenIDs = []string{"token-0", "token-1"}
		}, ReasonRevoked},
		{"AnotherTokenRevoked", func(_ *testing.T, b *Bundle) { b.Revocations.TokenIDs = []string{"token-11"} }, ""},
		{"RevokedAccessKeyRefusedAlsoWhenCached", func(_ *testing.T, b *Bundle) {
			b.Revocations.AccessKeys = []string{"key-1"}
		}, ReasonRevoked},
		{"AnotherAccessKeyRevoked", func(_ *testing.T, b *Bundle) { b.Revocations.AccessKeys = []string{"key-10"} }, ""},
		{"DisabledUserRefusedAlsoWhenCached", subject("alice", nil), ReasonRevoked},
		{"AnotherUserDisabled", subject("alicea", nil), ""},
		{"UserRevokedUpToThisSecond", subject("alice", at(0)), ReasonRevoked},
		{"UserRevokedUpToTheSecondBefore", subject("alice", at(-time.Second)), ""},
		{"LatestOfTwoRevocationsCounts", func(t *testing.T, b *Bundle) {
			subject("alice", at(time.Hour))(t, b)
			subject("alice", at(-time.Hour))(t, b)
		}, ReasonRevoked},
		{"OtherCluster", func(_ *testing.T, b *Bundle) { b.ClusterUID = "other-cluster" }, ReasonWrongAudience},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			token := sign(t, w.signer, aliceClaims())
			id := mustVerify(t, w.verifier, token)
			b := w.bundle()
			tt.change(t, b)
			w.verifier.SetBundle(b)
			if tt.want == "" {
				mustVerify(t, w.verifier, token)
				if err := w.verifier.Valid(id); err != nil {
					t.Errorf("Valid: %v", err)
				}
				return
			}
			wantRefused(t, w.verifier, token, tt.want)
			wantReason(t, w.verifier.Valid(id), tt.want)
		})
	}
}

func TestAnotherKeyUnderTheSameIDEndsOpenStreams(t *testing.T) {
	w := newWorld(t)
	id := mustVerify(t, w.verifier, sign(t, w.signer, aliceClaims()))
	b := w.bundle()
	b.JWKS.Keys[0].Key = newTestSigner(t, newECKey(t)).PublicJWK().Key
	w.verifier.SetBundle(b)
	wantReason(t, w.verifier.Valid(id), ReasonUnknownKey)
}

func TestAnotherIssuerEndsOpenStreams(t *testing.T) {
	w := newWorld(t)
	token := sign(t, w.signer, aliceClaims())
	id := mustVerify(t, w.verifier, token)
	b := w.bundle()
	b.Issuer = "https://other.example.com"
	w.verifier.SetBundle(b)
	if w.verifier.Valid(id) == nil {
		t.Error("still valid")
	}
	if _, err := w.verifier.Verify(token); !errors.Is(err, ErrForeign) {
		t.Errorf("got %v, want ErrForeign", err)
	}
}

func TestRefusesTokenForWrongCluster(t *testing.T) {
	for _, audience := range []string{"other-cluster", testCluster + " ", "loft.sh/all-clusters/", AllClusters} {
		w := newWorld(t)
		c := aliceClaims()
		c.Audience = jwt.Audience{audience}
		want := ReasonWrongAudience
		if audience == testCluster+" " {
			want = ReasonMalformed
		}
		wantRefused(t, w.verifier, signUnchecked(t, w.signer, nil, c), want)
	}
}

func TestTokenForAllClustersNeedsThePolicy(t *testing.T) {
	w := newWorld(t)
	c := aliceClaims()
	c.Audience = jwt.Audience{AllClusters}
	token := sign(t, w.signer, c)
	b := w.bundle()
	b.AllowAllClusters = true
	w.verifier.SetBundle(b)
	id := mustVerify(t, w.verifier, token)
	w.verifier.SetBundle(w.bundle())
	wantRefused(t, w.verifier, token, ReasonWrongAudience)
	wantReason(t, w.verifier.Valid(id), ReasonWrongAudience)
}

func TestRevokedAccessKeyOfTokenWithoutOne(t *testing.T) {
	w := newWorld(t)
	c := aliceClaims()
	c.AccessKey = ""
	b := w.bundle()
	b.Revocations.AccessKeys = []string{"key-1"}
	w.verifier.SetBundle(b)
	mustVerify(t, w.verifier, sign(t, w.signer, c))
}

func TestChangedWakesOnEveryBundle(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		changed := w.verifier.Changed()
		select {
		case <-changed:
			t.Fatal("closed before a bundle was set")
		default:
		}
		w.verifier.SetBundle(w.bundle())
		select {
		case <-changed:
		default:
			t.Fatal("not closed after a bundle was set")
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := &cache{}
	digester := newDigester()
	const most = cacheShards * cacheShardSize
	for i := range 2 * most {
		c.put(digester.of(fmt.Sprint(i)), &Identity{Expiry: testNow.Add(time.Duration(i) * time.Second)})
	}
	if n := c.len(); n > most || n < most*9/10 {
		t.Errorf("holds %d identities, at most %d are meant", n, most)
	}
}

func TestRefusedTokensAreNotCached(t *testing.T) {
	w := newWorld(t)
	other := newTestSigner(t, newECKey(t))
	header := map[string]any{"kid": w.signer.PublicJWK().KeyID}
	for i := range 100 {
		c := aliceClaims()
		c.ID = fmt.Sprint(i)
		wantRefused(t, w.verifier, signUnchecked(t, other, header, c), ReasonBadSignature)
	}
	if n := w.verifier.current.Load().cache.len(); n != 0 {
		t.Errorf("%d entries", n)
	}
}

// TestConcurrentUse is for the race detector, and holds that no answer comes from a bundle before last.
func TestConcurrentUse(t *testing.T) {
	w := newWorld(t)
	token := sign(t, w.signer, aliceClaims())
	id := mustVerify(t, w.verifier, token)
	revoked := w.bundle()
	revoked.Revocations.TokenIDs = []string{"token-1"}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				_, _ = w.verifier.Verify(token)
				_ = w.verifier.Valid(id)
				_ = w.verifier.Changed()
			}
		})
	}
	for range 50 {
		w.verifier.SetBundle(w.bundle())
		w.verifier.SetBundle(revoked)
		wantRefused(t, w.verifier, token, ReasonRevoked)
	}
	wg.Wait()
}
