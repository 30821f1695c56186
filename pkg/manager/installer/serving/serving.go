// Package serving makes the certificate by which an aggregator knows the agent, and its authority.
//
// What surprises: the authority outlives its certificates by far, so that a renewed certificate changes
// nothing for whoever trusts the authority. When the authority itself is renewed, the one before stays
// in the list for as long as it is good, since agents go on serving with its certificate for a while.
package serving

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	// caLifetime is that of the authority, lifetime that of a certificate.
	caLifetime = 10 * 365 * 24 * time.Hour
	lifetime   = 90 * 24 * time.Hour
	// caMargin and margin are how long before their ends they are replaced.
	caMargin = 365 * 24 * time.Hour
	margin   = 30 * 24 * time.Hour
	// skew is how far the clocks of manager and cluster may differ.
	skew = time.Hour
)

// Pair is a certificate with its authority, all in PEM. The zero value is none.
type Pair struct {
	// CA holds the authority, and behind it the one before while that is good.
	CA, CAKey []byte
	Cert, Key []byte
}

// Problem says why p is not, or not for long, a certificate for hosts; empty: there is no problem.
func (p Pair) Problem(hosts []string, now time.Time) string {
	if problem := p.caProblem(now); problem != "" {
		return problem
	}
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		return "the certificate and its key cannot be used"
	}
	if pair.Leaf.NotAfter.Before(now.Add(margin)) {
		return "the certificate ends soon"
	}
	authority, _, err := p.authority()
	if err != nil || pair.Leaf.CheckSignatureFrom(authority) != nil {
		return "the certificate is not signed by the authority"
	}
	for _, host := range hosts {
		if pair.Leaf.VerifyHostname(host) != nil {
			return "the certificate does not name " + host
		}
	}
	return ""
}

// Renew returns a new certificate for hosts, by a new authority where p has none that lasts.
func (p Pair) Renew(hosts []string, now time.Time) (Pair, error) {
	next := Pair{CA: p.CA, CAKey: p.CAKey}
	if p.caProblem(now) != "" {
		var err error
		if next.CA, next.CAKey, err = newAuthority(now); err != nil {
			return Pair{}, err
		}
		next.CA = append(next.CA, p.stillTrusted(now)...)
	}
	authority, key, err := next.authority()
	if err != nil {
		return Pair{}, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts,
		NotBefore: now.Add(-skew), NotAfter: now.Add(lifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	next.Cert, next.Key, err = sign(template, authority, key)
	return next, err
}

func (p Pair) caProblem(now time.Time) string {
	authority, _, err := p.authority()
	switch {
	case err != nil:
		return "the authority and its key cannot be used"
	case !authority.IsCA:
		return "the authority is none"
	case authority.NotAfter.Before(now.Add(caMargin)):
		return "the authority ends soon"
	}
	return ""
}

// authority is the first of the list, to which the key belongs.
func (p Pair) authority() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	pair, err := tls.X509KeyPair(p.CA, p.CAKey)
	if err != nil {
		// The words of the library name no part of the key.
		return nil, nil, fmt.Errorf("authority: %w", err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("authority: its key is a %T", pair.PrivateKey)
	}
	return pair.Leaf, key, nil
}

// stillTrusted is the first authority that p has, if certificates of it may still be in use.
func (p Pair) stillTrusted(now time.Time) []byte {
	known, err := cert.ParseCertsPEM(p.CA)
	if err != nil || known[0].NotAfter.Before(now) || !known[0].IsCA {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: known[0].Raw})
}

func newAuthority(now time.Time) (certPEM, keyPEM []byte, err error) {
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "loft-agent-ca"},
		NotBefore: now.Add(-skew), NotAfter: now.Add(caLifetime),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	return sign(template, nil, nil)
}

// sign makes a key and a certificate for it; without an authority it is its own.
func sign(template, authority *x509.Certificate, authorityKey *ecdsa.PrivateKey) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate key: %w", err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, nil, fmt.Errorf("serial number: %w", err)
	}
	if authority == nil {
		authority, authorityKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), authorityKey)
	if err != nil {
		return nil, nil, fmt.Errorf("sign certificate: %w", err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: keyutil.ECPrivateKeyBlockType, Bytes: keyDER}), nil
}
