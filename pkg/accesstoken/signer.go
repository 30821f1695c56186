package accesstoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Signer signs tokens with one key. It is safe for concurrent use when its key is.
type Signer struct {
	issuer string
	key    jose.OpaqueSigner
	public jose.JSONWebKey
}

// NewSigner takes an ECDSA P-256 key (ES256) or an Ed25519 key (EdDSA). The key ID is the key's own
// thumbprint (RFC 7638, SHA-256, base64url), so a key has the same name wherever it is used.
func NewSigner(issuer string, key crypto.Signer) (*Signer, error) {
	if err := checkText("issuer", issuer); err != nil {
		return nil, err
	}
	if key == nil {
		return nil, errors.New("signing key: required")
	}
	alg, err := algorithmOf(key.Public())
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	public := jose.JSONWebKey{Key: key.Public(), Algorithm: string(alg), Use: "sig"}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing key: thumbprint: %w", err)
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	return &Signer{issuer: issuer, key: cryptosigner.Opaque(key), public: public}, nil
}

// algorithmOf is the one algorithm that a public key may be used with.
func algorithmOf(public crypto.PublicKey) (jose.SignatureAlgorithm, error) {
	switch key := public.(type) {
	case ed25519.PublicKey:
		return jose.EdDSA, nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return jose.ES256, nil
		}
		return "", errors.New("ECDSA on another curve than P-256 is not supported")
	default:
		return "", fmt.Errorf("%T: only ECDSA P-256 and Ed25519 public keys are supported", public)
	}
}

// PublicJWK is the public key as it goes into a bundle.
func (s *Signer) PublicJWK() jose.JSONWebKey { return s.public }

// Issuer is the iss of the tokens that s signs.
func (s *Signer) Issuer() string { return s.issuer }

// Sign fills in iss, jti (128 random bits) and iat (now) where they are empty, and signs. The error lists
// everything that is wrong with the claims.
func (s *Signer) Sign(c Claims) (string, error) {
	if c.Issuer == "" {
		c.Issuer = s.issuer
	}
	if c.ID == "" {
		c.ID = rand.Text()
	}
	if c.IssuedAt == nil {
		c.IssuedAt = jwt.NewNumericDate(time.Now())
	}
	if c.Groups == nil {
		c.Groups = []string{}
	}
	err := c.validate()
	if c.Issuer != s.issuer {
		err = errors.Join(errors.New("iss: not the signer's issuer"), err)
	}
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	token, err := s.SignUnchecked(nil, c)
	if err == nil && len(token) > MaxTokenBytes {
		return "", fmt.Errorf("sign token: %d bytes, more than %d", len(token), MaxTokenBytes)
	}
	return token, err
}

// SignUnchecked signs whatever it is given, so that tests can make tokens that must be refused. The header
// members are added to alg, kid and typ, or replace them; nil removes one. A payload of type []byte is
// signed as it is, any other as its JSON. The signature is always made with the signer's own algorithm.
func (s *Signer) SignUnchecked(header map[string]any, payload any) (string, error) {
	merged := map[string]any{"alg": s.public.Algorithm, "kid": s.public.KeyID, "typ": "JWT"}
	maps.Copy(merged, header)
	maps.DeleteFunc(merged, func(_ string, v any) bool { return v == nil })
	rawHeader, err := json.Marshal(merged)
	if err != nil {
		return "", fmt.Errorf("sign token: encode header: %w", err)
	}
	rawPayload, ok := payload.([]byte)
	if !ok {
		if rawPayload, err = json.Marshal(payload); err != nil {
			return "", fmt.Errorf("sign token: encode claims: %w", err)
		}
	}
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString(rawHeader) + "." + b64.EncodeToString(rawPayload)
	signature, err := s.key.SignPayload([]byte(input), jose.SignatureAlgorithm(s.public.Algorithm))
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return input + "." + b64.EncodeToString(signature), nil
}
