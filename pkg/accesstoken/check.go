package accesstoken

import (
	"bytes"
	"crypto"
	"encoding/base64"
	stdjson "encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"k8s.io/apiserver/pkg/authentication/user"
)

// verify judges a token that is not in the cache: is it ours, who signed it, what does it say, is it good
// here, is it good now.
func (s *snapshot) verify(token string, now time.Time) (*Identity, error) {
	if !isIssuedBy(token, s.bundle.Issuer) {
		return nil, ErrForeign
	}
	kid, payload, err := s.verifySignature(token)
	if err != nil {
		return nil, err
	}
	claims, err := decodeClaims(payload)
	if err != nil {
		return nil, err
	}
	id := newIdentity(claims, kid, s.keys[kid].public)
	if err := s.check(id, now); err != nil {
		return nil, err
	}
	return id, nil
}

// isIssuedBy says whether the token is a JWT that names the issuer, without believing anything else of it.
// It looks at every "iss" there is, since another verifier may take the one that we would not.
func isIssuedBy(token, issuer string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return false
	}
	members := stdjson.NewDecoder(bytes.NewReader(payload))
	if start, err := members.Token(); err != nil || start != stdjson.Delim('{') {
		return false
	}
	for members.More() {
		name, err := members.Token()
		if err != nil {
			return false
		}
		var value stdjson.RawMessage
		if err := members.Decode(&value); err != nil {
			return false
		}
		var text string
		if name == "iss" && stdjson.Unmarshal(value, &text) == nil && text == issuer {
			return true
		}
	}
	return false
}

// looksLikeJWT is the question when there is no issuer to ask for.
func looksLikeJWT(token string) bool {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return false
	}
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	return err == nil && bytes.HasPrefix(bytes.TrimSpace(header), []byte("{"))
}

// verifySignature returns the kid and the signed payload.
func (s *snapshot) verifySignature(token string) (kid string, payload []byte, err error) {
	// The decoder skips line breaks and stray bits at the end: one token must have one spelling only.
	for part := range strings.SplitSeq(token, ".") {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return "", nil, refuse(ReasonMalformed, "not base64url")
		}
	}
	alg, kid, err := decodeHeader(token)
	if err != nil {
		return "", nil, err
	}
	if alg != jose.ES256 && alg != jose.EdDSA {
		return "", nil, refuse(ReasonBadAlgorithm, "alg is not ES256 or EdDSA")
	}
	key, ok := s.keys[kid]
	if !ok {
		return "", nil, refuse(ReasonUnknownKey, "kid is not in the trust bundle")
	}
	if alg != key.algorithm {
		return "", nil, refuse(ReasonBadAlgorithm, "alg does not fit the key")
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{key.algorithm})
	if err != nil {
		return "", nil, refuse(ReasonMalformed, "not a compact JWS")
	}
	if payload, err = jws.Verify(key.public); err != nil {
		return "", nil, refuse(ReasonBadSignature, "the signature does not fit")
	}
	return kid, payload, nil
}

// decodeHeader allows no member but those that Sign writes: everything else in a JWS header (jwk, jku, x5c,
// crit, b64, ...) is an offer to verify the token in another way.
func decodeHeader(token string) (jose.SignatureAlgorithm, string, error) {
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		return "", "", refuse(ReasonMalformed, "header is not base64url")
	}
	var alg, kid, typ string
	if errs := decodeObject("header", raw, map[string]any{"alg": &alg, "kid": &kid, "typ": &typ}); len(errs) > 0 {
		return "", "", refuse(ReasonMalformed, "header is not just alg, kid and typ")
	}
	if typ != "" && !strings.EqualFold(typ, "JWT") {
		return "", "", refuse(ReasonMalformed, "header: typ is not JWT")
	}
	return jose.SignatureAlgorithm(alg), kid, nil
}

func decodeClaims(payload []byte) (*Claims, error) {
	// The decoder would quietly put U+FFFD for broken bytes.
	if !utf8.Valid(payload) {
		return nil, refuse(ReasonMalformed, "claims are not UTF-8")
	}
	claims := &Claims{}
	if err := json.Unmarshal(payload, claims); err != nil {
		return nil, refuseFor(ReasonMalformed, err)
	}
	if err := claims.validate(); err != nil {
		return nil, refuseFor(ReasonMalformed, err)
	}
	return claims, nil
}

func newIdentity(c *Claims, kid string, key crypto.PublicKey) *Identity {
	groups := c.Groups
	if !slices.Contains(groups, groupSystemAuthenticated) {
		groups = append(groups, groupSystemAuthenticated)
	}
	validFrom := c.IssuedAt.Time()
	if c.NotBefore != nil && c.NotBefore.Time().After(validFrom) {
		validFrom = c.NotBefore.Time()
	}
	id := &Identity{
		// Clipped, so that an append by a caller copies instead of writing into what all share.
		User: &user.DefaultInfo{Name: c.Subject, UID: c.UID, Groups: slices.Clip(groups), Extra: c.Extra},
		ID:   c.ID, AccessKey: c.AccessKey, KeyID: kid,
		IssuedAt: c.IssuedAt.Time(), Expiry: c.Expiry.Time(),
		audience: c.Audience[0], issuer: c.Issuer, validFrom: validFrom.Add(-Leeway), key: key,
	}
	if c.Scope != nil {
		id.Scope = *c.Scope
	}
	return id
}

// check is everything about a token that can change while it is in use.
func (s *snapshot) check(id *Identity, now time.Time) error {
	if id.issuer != s.bundle.Issuer {
		return refuse(ReasonMalformed, "iss is not the trust bundle's issuer")
	}
	key, ok := s.keys[id.KeyID]
	// A kid that now stands for another key is as good as gone.
	if equal, can := key.public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !can || !equal.Equal(id.key) {
		return refuse(ReasonUnknownKey, "kid is not in the trust bundle any more")
	}
	if !s.isFor(id) {
		return refuse(ReasonWrongAudience, "it is not for this cluster")
	}
	if err := id.checkTime(now); err != nil {
		return err
	}
	last, revoked := s.revokedSubjects[id.User.GetName()]
	switch {
	case s.revokedTokens[id.ID]:
		return refuse(ReasonRevoked, "the token was revoked")
	case id.AccessKey != "" && s.revokedAccessKeys[id.AccessKey]:
		return refuse(ReasonRevoked, "its access key was revoked")
	case revoked && id.IssuedAt.Unix() <= last:
		return refuse(ReasonRevoked, "its user's tokens were revoked")
	case id.IssuedAt.Unix() <= s.revokedBefore:
		return refuse(ReasonRevoked, "all tokens of its time were revoked")
	}
	return nil
}

// isFor says whether the token names this cluster. One that names clusters was asked for them, so that the
// policy about tokens for all clusters says nothing about it.
func (s *snapshot) isFor(id *Identity) bool {
	switch {
	case id.audience != AllClusters:
		return id.audience == s.bundle.ClusterUID
	case id.Scope.Clusters != nil:
		return slices.Contains(id.Scope.Clusters, s.bundle.ClusterUID)
	}
	return s.bundle.AllowAllClusters
}

func (id *Identity) checkTime(now time.Time) error {
	switch {
	case !now.Before(id.Expiry):
		return refuse(ReasonExpired, "exp has passed")
	case now.Before(id.validFrom):
		return refuse(ReasonNotYetValid, "nbf or iat lies in the future")
	}
	return nil
}
