package accesstoken

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"
	"sigs.k8s.io/yaml"
)

// Bundle is all that an agent needs to judge tokens. The manager pushes it as a file, JSON or YAML.
type Bundle struct {
	// Issuer is the iss of the tokens that this bundle judges.
	Issuer string `json:"issuer"`
	// ClusterUID is the cluster that a token must name, in its aud or its scope.
	ClusterUID string `json:"clusterUID"`
	// JWKS holds the public keys, ES256 and EdDSA only, each with a kid (RFC 7517).
	JWKS        jose.JSONWebKeySet `json:"jwks"`
	Revocations Revocations        `json:"revocations,omitzero"`
	// AllowAllClusters lets tokens for AllClusters in that name no cluster.
	AllowAllClusters bool `json:"allowAllClusters,omitempty"`
	// StreamingConnectionIdleTimeoutSeconds is after how many seconds an idle exec, attach or
	// port-forward is closed; 0: never; nil: the agent's own flag decides. For new connections only.
	StreamingConnectionIdleTimeoutSeconds *int64 `json:"streamingConnectionIdleTimeoutSeconds,omitempty"`
}

// maxIdleTimeoutSeconds is about 68 years, and no overflow in nanoseconds.
const maxIdleTimeoutSeconds = 1<<31 - 1

// Revocations names tokens that are refused before they expire.
type Revocations struct {
	// TokenIDs refuses single tokens by jti.
	TokenIDs []string `json:"tokenIDs,omitempty"`
	// AccessKeys refuses every token that came from an access key.
	AccessKeys []string `json:"accessKeys,omitempty"`
	// Subjects refuses the tokens of a user or team.
	Subjects []SubjectRevocation `json:"subjects,omitempty"`
	// IssuedBefore refuses everybody's tokens that were issued at this Unix second or earlier; nil: none.
	IssuedBefore *int64 `json:"issuedBefore,omitempty"`
}

// SubjectRevocation refuses a subject's tokens that were issued at IssuedBefore or earlier.
type SubjectRevocation struct {
	Subject string `json:"subject"`
	// IssuedBefore is in Unix seconds; nil refuses all tokens of the subject, future ones too.
	IssuedBefore *int64 `json:"issuedBefore,omitempty"`
}

// ParseBundle reads a bundle and validates it. It is strict, since a misspelt revocation revokes nothing:
// unknown or repeated fields are errors, and names count case. The error lists everything that is wrong.
func ParseBundle(data []byte) (*Bundle, error) {
	raw, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("trust bundle: %w", err)
	}
	b := &Bundle{}
	var keys []josejson.RawMessage
	var jwks, revocations josejson.RawMessage
	errs := decodeObject("bundle", raw, map[string]any{
		"issuer":           &b.Issuer,
		"clusterUID":       &b.ClusterUID,
		"jwks":             &jwks,
		"revocations":      &revocations,
		"allowAllClusters": &b.AllowAllClusters,

		"streamingConnectionIdleTimeoutSeconds": &b.StreamingConnectionIdleTimeoutSeconds,
	})
	if jwks != nil {
		errs = append(errs, decodeObject("jwks", jwks, map[string]any{"keys": &keys})...)
	}
	if revocations != nil {
		errs = append(errs, decodeRevocations(revocations, &b.Revocations)...)
	}
	for i, rawKey := range keys {
		key, err := decodeKey(rawKey)
		if err != nil {
			errs = append(errs, fmt.Errorf("jwks.keys[%d]: %w", i, err))
			continue
		}
		b.JWKS.Keys = append(b.JWKS.Keys, key)
	}
	// A key that could not be read is reported once, and not also as "no keys".
	errs = append(errs, b.validate(len(keys) > 0)...)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("trust bundle: %w", err)
	}
	return b, nil
}

// Validate reports everything that keeps b from being a bundle that ParseBundle would accept.
func (b *Bundle) Validate() error {
	if err := errors.Join(b.validate(len(b.JWKS.Keys) > 0)...); err != nil {
		return fmt.Errorf("trust bundle: %w", err)
	}
	return nil
}

// Encode validates b and returns its JSON, which holds public keys only.
func (b *Bundle) Encode() ([]byte, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	data, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("trust bundle: %w", err)
	}
	return data, nil
}

func (b *Bundle) validate(hasKeys bool) []error {
	errs := []error{checkText("issuer", b.Issuer), checkClusterUID("clusterUID", b.ClusterUID)}
	if seconds := b.StreamingConnectionIdleTimeoutSeconds; seconds != nil && (*seconds < 0 || *seconds > maxIdleTimeoutSeconds) {
		errs = append(errs, fmt.Errorf("streamingConnectionIdleTimeoutSeconds: %d is not a number of seconds from 0 to %d",
			*seconds, maxIdleTimeoutSeconds))
	}
	if !hasKeys {
		errs = append(errs, errors.New("jwks: holds no keys"))
	}
	seen := map[string]bool{}
	for i, key := range b.JWKS.Keys {
		if err := checkKey(key); err != nil {
			errs = append(errs, fmt.Errorf("jwks.keys[%d]: %w", i, err))
		}
		if key.KeyID != "" && seen[key.KeyID] {
			errs = append(errs, fmt.Errorf("jwks.keys[%d]: kid %s is there twice", i, quote(key.KeyID)))
		}
		seen[key.KeyID] = true
	}
	return append(errs, b.Revocations.validate()...)
}

func (r *Revocations) validate() []error {
	var errs []error
	for i, id := range r.TokenIDs {
		errs = append(errs, checkText(fmt.Sprintf("revocations.tokenIDs[%d]", i), id))
	}
	for i, name := range r.AccessKeys {
		errs = append(errs, checkText(fmt.Sprintf("revocations.accessKeys[%d]", i), name))
	}
	for i, s := range r.Subjects {
		errs = append(errs, checkSubject(fmt.Sprintf("revocations.subjects[%d].subject", i), s.Subject))
	}
	return errs
}

func checkKey(key jose.JSONWebKey) error {
	alg, err := algorithmOf(key.Key)
	switch {
	case err != nil:
		return err
	case !key.Valid():
		return errors.New("is incomplete")
	case key.Algorithm != "" && key.Algorithm != string(alg):
		return fmt.Errorf("alg %s does not fit the key, which is for %s", quote(key.Algorithm), alg)
	case key.Use != "" && key.Use != "sig":
		return fmt.Errorf("use %s is not sig", quote(key.Use))
	}
	return checkText("kid", key.KeyID)
}

func decodeRevocations(data []byte, r *Revocations) []error {
	var subjects []josejson.RawMessage
	errs := decodeObject("revocations", data, map[string]any{
		"tokenIDs":     &r.TokenIDs,
		"accessKeys":   &r.AccessKeys,
		"subjects":     &subjects,
		"issuedBefore": &r.IssuedBefore,
	})
	for i, raw := range subjects {
		var s SubjectRevocation
		errs = append(errs, decodeObject(fmt.Sprintf("revocations.subjects[%d]", i), raw, map[string]any{
			"subject":      &s.Subject,
			"issuedBefore": &s.IssuedBefore,
		})...)
		r.Subjects = append(r.Subjects, s)
	}
	return errs
}

// decodeKey reads one JWK. Members of private and symmetric keys are refused by name, before and whatever
// the library makes of them; other unknown members are allowed (RFC 7517, section 4).
func decodeKey(data []byte) (jose.JSONWebKey, error) {
	var key jose.JSONWebKey
	var members map[string]josejson.RawMessage
	if err := josejson.Unmarshal(data, &members); err != nil {
		return key, errors.New("not an object without duplicate members")
	}
	for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, ok := members[secret]; ok {
			return key, fmt.Errorf("holds the secret member %q", secret)
		}
	}
	if err := key.UnmarshalJSON(data); err != nil {
		return key, fmt.Errorf("not a public key: %w", err)
	}
	return key, nil
}
