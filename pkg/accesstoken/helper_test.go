package accesstoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	clocktesting "k8s.io/utils/clock/testing"
)

const (
	testIssuer  = "https://loft.example.com"
	testCluster = "7d2c9b4e-cluster"
)

var testNow = time.Unix(1_800_000_000, 0)

// world is one manager's signer and one agent's verifier that trusts it.
type world struct {
	signer   *Signer
	verifier *Verifier
	clock    *clocktesting.FakePassiveClock
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{signer: newTestSigner(t, newECKey(t)), clock: clocktesting.NewFakePassiveClock(testNow)}
	w.verifier = NewVerifier(w.clock)
	w.verifier.SetBundle(w.bundle())
	return w
}

func (w *world) bundle() *Bundle {
	return &Bundle{
		Issuer: testIssuer, ClusterUID: testCluster,
		JWKS: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{w.signer.PublicJWK()}},
	}
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEdKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newTestSigner(t testing.TB, key crypto.Signer) *Signer {
	t.Helper()
	s, err := NewSigner(testIssuer, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func date(t time.Time) *jwt.NumericDate { return jwt.NewNumericDate(t) }

func aliceClaims() Claims {
	return Claims{
		Issuer: testIssuer, Subject: PersonName("alice"), Audience: jwt.Audience{testCluster},
		Expiry: date(testNow.Add(24 * time.Hour)), NotBefore: date(testNow), IssuedAt: date(testNow),
		ID: "token-1", UID: "uid-1", Groups: PersonGroups("alice", "blue"), AccessKey: "key-1",
	}
}

// payload is alice's claims as JSON members, changed by set; a nil value removes a member.
func payload(t testing.TB, set map[string]any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(aliceClaims())
	if err != nil {
		t.Fatal(err)
	}
	// Numbers stay as they are written.
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	for name, value := range members {
		out[name] = value
	}
	for name, value := range set {
		if out[name] = value; value == nil {
			delete(out, name)
		}
	}
	return out
}

func sign(t testing.TB, s *Signer, c Claims) string {
	t.Helper()
	token, err := s.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func signUnchecked(t testing.TB, s *Signer, header map[string]any, claims any) string {
	t.Helper()
	token, err := s.SignUnchecked(header, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func mustVerify(t testing.TB, v *Verifier, token string) *Identity {
	t.Helper()
	id, err := v.Verify(token)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return id
}

// wantRefused also holds the promises that go for every refusal: no identity, not foreign, no token inside.
func wantRefused(t testing.TB, v *Verifier, token string, want Reason) {
	t.Helper()
	id, err := v.Verify(token)
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Reason != want {
		t.Fatalf("Verify: got error %v, want reason %s", err, want)
	}
	if id != nil {
		t.Fatal("a refused token came with an identity")
	}
	if errors.Is(err, ErrForeign) {
		t.Fatal("a refused token of our issuer would be passed on")
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 16 && strings.Contains(err.Error(), part) {
			t.Fatalf("the error holds a part of the token: %v", err)
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Fatalf("the error is not one line: %q", err)
	}
}

func wantReason(t testing.TB, err error, want Reason) {
	t.Helper()
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Reason != want {
		t.Fatalf("got error %v, want reason %s", err, want)
	}
}
