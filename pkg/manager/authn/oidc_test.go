package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/apimachinery/pkg/util/wait"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/bearer"
)

// provider is an OIDC provider.
type provider struct {
	*httptest.Server
	key *ecdsa.PrivateKey
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	})
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) config() string {
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
	return fmt.Sprintf(`apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer:
    url: %s
    audiences: [loft]
    certificateAuthority: |
      %s
  claimMappings:
    username: {claim: email, prefix: ""}
    groups: {claim: groups, prefix: "idp:"}
`, p.URL, strings.ReplaceAll(strings.TrimSpace(ca), "\n", "\n      "))
}

func (p *provider) token(t *testing.T, audience string, end time.Time) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: "1"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": p.URL, "aud": audience, "sub": "1", "email": "alice@idp", "email_verified": true, "groups": []string{"dev"}, "exp": end.Unix(),
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestProviders(t *testing.T) {
	p := newProvider(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(p.config()), 0o600); err != nil {
		t.Fatal(err)
	}
	options := &Options{ConfigFile: file}
	o, err := options.NewOIDC(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, newUser("alice", func(s *storagev1.UserSpec) { s.Subject = "alice@idp" }))
	w.OIDC, w.Limiter = o, NewLimiter(100, 1, w.clock)
	end := time.Now().Add(time.Hour)
	if err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		return o.current.Load().providers.Health() == nil, nil
	}); err != nil {
		t.Fatal(o.current.Load().providers.Health())
	}

	info, code := w.ask(t, p.token(t, "loft", end))
	if code != http.StatusOK || info.GetName() != "loft:user:alice" {
		t.Errorf("code %d, %v, want alice", code, info)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+p.token(t, "loft", end))
	if caller, err := w.Authenticate(r); err != nil || caller.Expiry.Unix() != end.Unix() {
		t.Errorf("%v, ends at %s, want %s", err, caller.Expiry, end)
	}
	for name, token := range map[string]string{
		"another audience": p.token(t, "other", end),
		"expired":          p.token(t, "loft", time.Now().Add(-time.Minute)),
		"broken":           p.token(t, "loft", end)[:200] + ".x.y",
	} {
		if _, code := w.ask(t, token); code != http.StatusUnauthorized {
			t.Errorf("%s: code %d, want 401", name, code)
		}
	}
}

// Tokens of a provider that cannot be asked for its keys are not wrong.
func TestAProviderThatIsAwaySaysNothing(t *testing.T) {
	p := newProvider(t)
	token := p.token(t, "loft", time.Now().Add(time.Hour))
	content := p.config()
	p.Close()
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := (&Options{ConfigFile: file}).NewOIDC(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.AuthenticateToken(t.Context(), token); !errors.Is(err, bearer.ErrUnchecked) {
		t.Errorf("got %v, want an error that says nothing about the token", err)
	}
}

func TestABrokenFileLeavesTheProviders(t *testing.T) {
	p := newProvider(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, []byte(p.config()), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := (&Options{ConfigFile: file}).NewOIDC(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := o.current.Load()
	if err := os.WriteFile(file, []byte("kind: Pod"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o.load(t.Context()) == nil || o.current.Load() != before {
		t.Error("a broken file was taken")
	}
	if err := os.WriteFile(file, []byte(strings.Replace(p.config(), "loft", "other", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.load(t.Context()); err != nil || o.current.Load() == before {
		t.Errorf("a good file was not taken: %v", err)
	}
}

func TestBadConfigIsRefused(t *testing.T) {
	good := newProvider(t).config()
	_, providers, _ := strings.Cut(good, "jwt:\n")
	tests := []struct{ name, content, want string }{
		{"another kind", "apiVersion: v1\nkind: Pod\n", "no kind"},
		{"a typing error", strings.Replace(good, "audiences", "audience", 1), "unknown field"},
		{"plain HTTP", strings.Replace(good, "https://", "http://", 1), "https"},
		{"no user name", strings.Replace(good, "claim: email", `claim: ""`, 1), "username"},
		{"twice the same", good + providers, "Duplicate"},
		{"anybody", good + "anonymous: {enabled: true}\n", "anonymous"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseConfig("f", []byte(tt.content))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "--authentication-config") {
				t.Errorf("got %v, want an error that names the flag and says %q", err, tt.want)
			}
		})
	}
}
