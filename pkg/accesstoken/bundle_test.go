package accesstoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestBundleSurvivesTheFile(t *testing.T) {
	w := newWorld(t)
	second := int64(1_800_000_000)
	b := w.bundle()
	b.JWKS.Keys = append(b.JWKS.Keys, newTestSigner(t, newEdKey(t)).PublicJWK())
	b.AllowAllClusters = true
	b.Revocations = Revocations{
		TokenIDs: []string{"token-1"}, AccessKeys: []string{"key-1"},
		Subjects: []SubjectRevocation{{Subject: "loft:user:bob"}, {Subject: "loft:user:eve", IssuedBefore: &second}},
	}
	asJSON, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.JSONToYAML(asJSON)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"JSON": asJSON, "YAML": asYAML} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseBundle(data)
			if err != nil {
				t.Fatal(err)
			}
			again, err := got.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(asJSON), string(again)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(b.Revocations, got.Revocations); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func jwkJSON(t *testing.T, key any, change func(*jose.JSONWebKey)) string {
	t.Helper()
	jwk := jose.JSONWebKey{Key: key, KeyID: "k"}
	if change != nil {
		change(&jwk)
	}
	raw, err := jwk.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestParseBundleRefuses(t *testing.T) {
	ec := newECKey(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := jwkJSON(t, ec.Public(), nil)
	file := func(key, rest string) string {
		return fmt.Sprintf(`{"issuer":"i","clusterUID":"c","jwks":{"keys":[%s]}%s}`, key, rest)
	}
	if _, err := ParseBundle([]byte(file(good, ""))); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	tests := []struct{ name, data, want string }{
		{"nothing", ``, "not an object"},
		{"no object", `[]`, "not an object"},
		{"broken YAML", "issuer: [", "trust bundle: "},
		{"no issuer", strings.Replace(file(good, ""), `"i"`, `""`, 1), "issuer: must not be empty"},
		{"blank issuer", strings.Replace(file(good, ""), `"i"`, `"i "`, 1), "issuer: "},
		{"no cluster", strings.Replace(file(good, ""), `"c"`, `""`, 1), "clusterUID: must not be empty"},
		{"cluster is all clusters", strings.Replace(file(good, ""), `"c"`, `"`+AllClusters+`"`, 1), "clusterUID: "},
		{"no keys", file("", ""), "holds no keys"},
		{"no key set", `{"issuer":"i","clusterUID":"c"}`, "holds no keys"},
		{"unknown field", file(good, `,"revocation":{}`), `unknown member "revocation"`},
		{"field in case", file(good, `,"Revocations":{}`), `unknown member "Revocations"`},
		{"field twice", file(good, `,"issuer":"j"`), "issuer"},
		{"null revocations", file(good, `,"revocations":null`), "must not be null"},
		{"unknown revocation", file(good, `,"revocations":{"users":["x"]}`), `unknown member "users"`},
		{"unknown subject field", file(good, `,"revocations":{"subjects":[{"subject":"loft:user:a","issuedAfter":1}]}`), `unknown member "issuedAfter"`},
		{"null time", file(good, `,"revocations":{"subjects":[{"subject":"loft:user:a","issuedBefore":null}]}`), "must not be null"},
		{"subject without prefix", file(good, `,"revocations":{"subjects":[{"subject":"a"}]}`), "subjects[0].subject"},
		{"empty token ID", file(good, `,"revocations":{"tokenIDs":[""]}`), "tokenIDs[0]"},
		{"blank access key", file(good, `,"revocations":{"accessKeys":["x "]}`), "accessKeys[0]"},
		{"private EC key", file(jwkJSON(t, ec, nil), ""), `secret member "d"`},
		{"private Ed25519 key", file(jwkJSON(t, newEdKey(t), nil), ""), `secret member "d"`},
		{"symmetric key", file(jwkJSON(t, []byte("0123456789abcdef0123456789abcdef"), nil), ""), `secret member "k"`},
		{"RSA key", file(jwkJSON(t, rsaKey.Public(), nil), ""), "only ECDSA P-256 and Ed25519"},
		{"P-384 key", file(jwkJSON(t, p384.Public(), nil), ""), "P-256"},
		{"no kid", file(jwkJSON(t, ec.Public(), func(k *jose.JSONWebKey) { k.KeyID = "" }), ""), "kid: "},
		{"kid twice", file(good+","+jwkJSON(t, newEdKey(t).Public(), nil), ""), "there twice"},
		{"alg of another type", file(jwkJSON(t, ec.Public(), func(k *jose.JSONWebKey) { k.Algorithm = "EdDSA" }), ""), "does not fit"},
		{"alg HS256", file(jwkJSON(t, ec.Public(), func(k *jose.JSONWebKey) { k.Algorithm = "HS256" }), ""), "does not fit"},
		{"key for encryption", file(jwkJSON(t, ec.Public(), func(k *jose.JSONWebKey) { k.Use = "enc" }), ""), "is not sig"},
		{"unknown key type", file(`{"kty":"XYZ","kid":"k"}`, ""), "not a public key"},
		{"point off the curve", file(`{"kty":"EC","crv":"P-256","kid":"k","x":"`+strings.Repeat("A", 43)+`","y":"`+strings.Repeat("A", 43)+`"}`, ""), "not a public key"},
		{"null key", file(`null`, ""), "jwks.keys[0]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := ParseBundle([]byte(tt.data))
			if err == nil || b != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestParseBundleReportsEveryErrorAtOnce(t *testing.T) {
	_, err := ParseBundle([]byte(`{"issuer":"","jwks":{"keys":[{"kty":"oct","k":"AAAA"},{}]},"foo":1,"revocations":{"tokenIDs":[""],"bar":1}}`))
	for _, want := range []string{"issuer:", "clusterUID:", "keys[0]", "keys[1]", `"foo"`, `"bar"`, "tokenIDs[0]"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "holds no keys") {
		t.Errorf("keys that cannot be read are reported as missing: %v", err)
	}
}

func TestEncodeNeverWritesAPrivateKey(t *testing.T) {
	b := newWorld(t).bundle()
	b.JWKS.Keys[0].Key = newECKey(t)
	if data, err := b.Encode(); err == nil || data != nil {
		t.Error("wrote a private key")
	}
}

func TestKeyIDIsTheThumbprint(t *testing.T) {
	for _, key := range []crypto.Signer{newECKey(t), newEdKey(t)} {
		jwk := newTestSigner(t, key).PublicJWK()
		bare := jose.JSONWebKey{Key: key.Public()}
		sum, err := bare.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if want := base64.RawURLEncoding.EncodeToString(sum); jwk.KeyID != want || len(want) != 43 {
			t.Errorf("got %s, want %s", jwk.KeyID, want)
		}
		raw, err := json.Marshal(jwk)
		if err != nil || strings.Contains(string(raw), `"d"`) || !jwk.IsPublic() {
			t.Errorf("not public: %s, %v", raw, err)
		}
	}
}
