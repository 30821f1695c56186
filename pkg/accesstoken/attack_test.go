package accesstoken

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// forge makes a compact JWS whose signature is any function of the signing input.
func forge(t *testing.T, header map[string]any, claims any, signature func(input []byte) []byte) string {
	t.Helper()
	b64 := base64.RawURLEncoding
	rawHeader, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	rawClaims, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	input := b64.EncodeToString(rawHeader) + "." + b64.EncodeToString(rawClaims)
	return input + "." + b64.EncodeToString(signature([]byte(input)))
}

func TestRefusesAlgNone(t *testing.T) {
	w := newWorld(t)
	for _, alg := range []any{"none", "None", "NONE", "", nil} {
		header := map[string]any{"alg": alg, "kid": w.signer.PublicJWK().KeyID}
		token := forge(t, header, aliceClaims(), func([]byte) []byte { return nil })
		want := ReasonBadAlgorithm
		if alg == nil { // "alg": null
			want = ReasonMalformed
		}
		wantRefused(t, w.verifier, token, want)
		wantRefused(t, w.verifier, signUnchecked(t, w.signer, map[string]any{"alg": alg}, aliceClaims()), ReasonBadAlgorithm)
	}
}

func TestRefusesTokenSignedWithPublicKeyAsHMACSecret(t *testing.T) {
	w := newWorld(t)
	public := w.signer.PublicJWK()
	der, err := x509.MarshalPKIXPublicKey(public.Key)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := public.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range [][]byte{der, jwk} {
		token := forge(t, map[string]any{"alg": "HS256", "kid": public.KeyID}, aliceClaims(), func(input []byte) []byte {
			mac := hmac.New(sha256.New, secret)
			mac.Write(input)
			return mac.Sum(nil)
		})
		wantRefused(t, w.verifier, token, ReasonBadAlgorithm)
	}
}

func TestRefusesOtherAlgorithms(t *testing.T) {
	w := newWorld(t)
	for _, alg := range []string{"RS256", "PS256", "ES384", "ES512", "HS512", "Ed25519", "es256"} {
		wantRefused(t, w.verifier, signUnchecked(t, w.signer, map[string]any{"alg": alg}, aliceClaims()), ReasonBadAlgorithm)
	}
}

func TestRefusesAlgorithmOfAnotherKeyType(t *testing.T) {
	w := newWorld(t)
	wantRefused(t, w.verifier, signUnchecked(t, w.signer, map[string]any{"alg": "EdDSA"}, aliceClaims()), ReasonBadAlgorithm)
}

func TestRefusesEmbeddedKeysAndOtherWaysToVerify(t *testing.T) {
	w := newWorld(t)
	attacker := newTestSigner(t, newECKey(t))
	for name, value := range map[string]any{
		"jwk": attacker.PublicJWK(), "jku": "https://attacker.example.com/jwks", "x5u": "https://attacker.example.com/pem",
		"x5c": []string{"AAAA"}, "x5t": "AAAA", "crit": []string{"exp"}, "b64": false, "zip": "DEF", "cty": "JWT", "KID": "x",
	} {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, w.verifier, signUnchecked(t, attacker, map[string]any{name: value}, aliceClaims()), ReasonMalformed)
			known := map[string]any{name: value, "kid": w.signer.PublicJWK().KeyID}
			wantRefused(t, w.verifier, signUnchecked(t, attacker, known, aliceClaims()), ReasonMalformed)
			wantRefused(t, w.verifier, signUnchecked(t, w.signer, map[string]any{name: value}, aliceClaims()), ReasonMalformed)
		})
	}
}

func TestRefusesAnotherTypeOfToken(t *testing.T) {
	w := newWorld(t)
	wantRefused(t, w.verifier, signUnchecked(t, w.signer, map[string]any{"typ": "at+jwt"}, aliceClaims()), ReasonMalformed)
	mustVerify(t, w.verifier, signUnchecked(t, w.signer, map[string]any{"typ": nil}, aliceClaims()))
}

func TestRefusesUnknownKey(t *testing.T) {
	w := newWorld(t)
	wantRefused(t, w.verifier, sign(t, newTestSigner(t, newECKey(t)), aliceClaims()), ReasonUnknownKey)
	wantRefused(t, w.verifier, signUnchecked(t, w.signer, map[string]any{"kid": nil}, aliceClaims()), ReasonUnknownKey)
	wantRefused(t, w.verifier, signUnchecked(t, w.signer, map[string]any{"kid": "../../etc/passwd"}, aliceClaims()), ReasonUnknownKey)
}

func TestRefusesAnotherKeyUnderAKnownID(t *testing.T) {
	w := newWorld(t)
	header := map[string]any{"kid": w.signer.PublicJWK().KeyID}
	wantRefused(t, w.verifier, signUnchecked(t, newTestSigner(t, newECKey(t)), header, aliceClaims()), ReasonBadSignature)
}

func TestRefusesChangedPayload(t *testing.T) {
	w := newWorld(t)
	parts := strings.Split(sign(t, w.signer, aliceClaims()), ".")
	bob := aliceClaims()
	bob.Subject, bob.Groups = PersonName("bob"), PersonGroups("bob")
	parts[1] = strings.Split(sign(t, w.signer, bob), ".")[1]
	wantRefused(t, w.verifier, strings.Join(parts, "."), ReasonBadSignature)
}

func TestRefusesBrokenSignature(t *testing.T) {
	w := newWorld(t)
	token := sign(t, w.signer, aliceClaims())
	head := token[:strings.LastIndex(token, ".")+1]
	zeros := base64.RawURLEncoding.EncodeToString(make([]byte, 64)) // CVE-2022-21449: r = s = 0
	tests := []struct {
		name, token string
		want        Reason
	}{
		{"none", head, ReasonBadSignature},
		{"zeros", head + zeros, ReasonBadSignature},
		{"short", token[:len(token)-6] + "AA", ReasonBadSignature},
		{"long", token + "AAAA", ReasonBadSignature},
		{"line break", token[:len(token)-5] + "\n" + token[len(token)-5:], ReasonMalformed},
		{"padding", token + "==", ReasonMalformed},
		{"standard alphabet", head + "+/" + token[len(head)+2:], ReasonMalformed},
		{"stray bits", head + zeros[:len(zeros)-1] + "B", ReasonMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantRefused(t, w.verifier, tt.token, tt.want) })
	}
}

func TestRefusesTooLargeTokenUnparsed(t *testing.T) {
	w := newWorld(t)
	big := payload(t, map[string]any{"uid": strings.Repeat("x", MaxTokenBytes)})
	wantRefused(t, w.verifier, signUnchecked(t, w.signer, nil, big), ReasonTooLarge)
	wantRefused(t, NewVerifier(w.clock), strings.Repeat("x", MaxTokenBytes+1), ReasonTooLarge)
}

func TestForeignTokenIsPassedOn(t *testing.T) {
	w := newWorld(t)
	own := sign(t, w.signer, aliceClaims())
	parts := strings.Split(own, ".")
	full, err := json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"empty":              "",
		"opaque":             "abcdef.0123456789abcdef",
		"three opaque parts": "a.b.c",
		"other issuer":       signUnchecked(t, w.signer, nil, payload(t, map[string]any{"iss": "https://kubernetes.default.svc"})),
		"no issuer":          signUnchecked(t, w.signer, nil, payload(t, map[string]any{"iss": nil})),
		"issuer and slash":   signUnchecked(t, w.signer, nil, payload(t, map[string]any{"iss": testIssuer + "/"})),
		"issuer in case":     signUnchecked(t, w.signer, nil, payload(t, map[string]any{"iss": strings.ToUpper(testIssuer)})),
		"issuer in a list":   signUnchecked(t, w.signer, nil, payload(t, map[string]any{"iss": []string{testIssuer}})),
		"payload an array":   signUnchecked(t, w.signer, nil, []byte(`["`+testIssuer+`"]`)),
		"payload no JSON":    signUnchecked(t, w.signer, nil, []byte(`{"iss"`)),
		"JWS as JSON":        string(full),
		"JWE":                own + ".AAAA.AAAA",
	} {
		t.Run(name, func(t *testing.T) {
			if id, err := w.verifier.Verify(token); !errors.Is(err, ErrForeign) || id != nil {
				t.Fatalf("got %v, %v, want ErrForeign", id, err)
			}
		})
	}
}

func TestTokenWithTwoIssuersIsOursAndRefused(t *testing.T) {
	w := newWorld(t)
	own := `{"iss":"` + testIssuer + `",`
	other := `{"iss":"https://other.example.com",`
	rest, err := json.Marshal(payload(t, map[string]any{"iss": nil}))
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range []string{own + other[1:] + string(rest[1:]), other + own[1:] + string(rest[1:])} {
		wantRefused(t, w.verifier, signUnchecked(t, w.signer, nil, []byte(raw)), ReasonMalformed)
	}
}

func TestRefusesEveryJWTWithoutBundle(t *testing.T) {
	w := newWorld(t)
	token := sign(t, w.signer, aliceClaims())
	id := mustVerify(t, w.verifier, token)
	for name, b := range map[string]*Bundle{"nil": nil, "invalid": {Issuer: testIssuer}} {
		t.Run(name, func(t *testing.T) {
			w.verifier.SetBundle(b)
			if _, err := w.verifier.Verify(token); !errors.Is(err, ErrNoBundle) {
				t.Fatalf("got %v, want ErrNoBundle", err)
			}
			if err := w.verifier.Valid(id); !errors.Is(err, ErrNoBundle) {
				t.Fatalf("Valid: got %v, want ErrNoBundle", err)
			}
			if _, err := w.verifier.Verify("opaque"); !errors.Is(err, ErrForeign) {
				t.Fatalf("got %v, want ErrForeign", err)
			}
			if w.verifier.Bundle() != nil {
				t.Fatal("there is a bundle")
			}
		})
	}
}

func TestSignerRefusesOtherKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewSigner(testIssuer, rsaKey); err == nil {
		t.Error("took an RSA key")
	}
	if _, err := NewSigner(testIssuer, p384); err == nil {
		t.Error("took a P-384 key")
	}
	if _, err := NewSigner(testIssuer, nil); err == nil {
		t.Error("took no key")
	}
	if _, err := NewSigner("", newECKey(t)); err == nil {
		t.Error("took no issuer")
	}
}

func TestEd25519TokensVerify(t *testing.T) {
	w := newWorld(t)
	w.signer = newTestSigner(t, newEdKey(t))
	b := w.bundle()
	b.JWKS.Keys = append(b.JWKS.Keys, newTestSigner(t, newECKey(t)).PublicJWK())
	w.verifier.SetBundle(b)
	mustVerify(t, w.verifier, sign(t, w.signer, aliceClaims()))
	wantRefused(t, w.verifier, signUnchecked(t, w.signer, map[string]any{"alg": string(jose.ES256)}, aliceClaims()), ReasonBadAlgorithm)
}
