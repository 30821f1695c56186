package signingkeys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/pkg/accesstoken"
)

const pemType = "PRIVATE KEY" // PKCS #8

// document is a Ring as it is kept.
type document struct {
	Keys    []documentKey `json:"keys"`
	Handled string        `json:"handledRotationRequest,omitempty"`
}

type documentKey struct {
	ID          string          `json:"id"`
	SignsFrom   metav1.Time     `json:"signsFrom"`
	MaxLifetime metav1.Duration `json:"maxTokenLifetime"`
	PrivateKey  string          `json:"privateKey"`
}

// parse reads what encode wrote. Its errors say what is wrong, and nothing of the keys. Unknown members
// are errors: a newer manager may have meant something by them.
func parse(issuer string, data []byte) (*Ring, error) {
	var doc document
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&doc); err != nil {
		return nil, errors.New("not the JSON that a manager of this version writes") // the decoder's error may quote
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON object")
	}
	if len(doc.Keys) == 0 {
		return nil, errors.New("holds no keys")
	}
	ring := &Ring{issuer: issuer, handled: doc.Handled}
	var errs []error
	for i := range doc.Keys {
		key, err := doc.Keys[i].key(issuer)
		if err == nil && i > 0 && !doc.Keys[i-1].SignsFrom.Time.Before(key.From) {
			err = errors.New("signsFrom: not after that of the key before")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("keys[%d]: %w", i, err))
			continue
		}
		ring.keys = append(ring.keys, key)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return ring, nil
}

func (d *documentKey) key(issuer string) (Key, error) {
	switch {
	case d.SignsFrom.IsZero():
		return Key{}, errors.New("signsFrom: required")
	case d.MaxLifetime.Duration <= 0 || d.MaxLifetime.Duration > accesstoken.MaxLifetime:
		return Key{}, fmt.Errorf("maxTokenLifetime: not between 0 and %s", accesstoken.MaxLifetime)
	}
	block, rest := pem.Decode([]byte(d.PrivateKey))
	if block == nil || block.Type != pemType || len(bytes.TrimSpace(rest)) > 0 {
		return Key{}, fmt.Errorf("privateKey: not one PEM block of type %q", pemType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return Key{}, errors.New("privateKey: not PKCS #8")
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return Key{}, errors.New("privateKey: not an ECDSA key")
	}
	signer, err := accesstoken.NewSigner(issuer, private)
	if err != nil {
		return Key{}, fmt.Errorf("privateKey: %w", err)
	}
	if d.ID != signer.PublicJWK().KeyID {
		return Key{}, errors.New("id: is not the key's own")
	}
	return Key{Signer: signer, From: d.SignsFrom.UTC(), MaxLifetime: d.MaxLifetime.Duration, private: private}, nil
}

func (r *Ring) encode() ([]byte, error) {
	doc := document{Handled: r.handled, Keys: make([]documentKey, 0, len(r.keys))}
	for i := range r.keys {
		key := &r.keys[i]
		der, err := x509.MarshalPKCS8PrivateKey(key.private)
		if err != nil {
			return nil, fmt.Errorf("signing key %q: %w", key.ID(), err)
		}
		doc.Keys = append(doc.Keys, documentKey{
			ID: key.ID(), SignsFrom: metav1.NewTime(key.From.Truncate(time.Second)), MaxLifetime: metav1.Duration{Duration: key.MaxLifetime},
			PrivateKey: string(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})),
		})
	}
	return json.Marshal(doc)
}
