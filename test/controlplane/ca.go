package controlplane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	// leafLifetime outlives any test run and sandbox session.
	leafLifetime = 365 * 24 * time.Hour
	// backdate allows for clocks that differ.
	backdate = time.Hour
)

// CA is a certificate authority with an ECDSA P-256 key.
type CA struct {
	cert *x509.Certificate
	key  crypto.Signer
	pair KeyPair
}

// KeyPair is a certificate and its private key, both PEM encoded.
type KeyPair struct {
	Cert, Key []byte
}

// NewCA makes a self-signed authority that is valid for ten years.
func NewCA(name string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key of CA %q: %w", name, err)
	}
	cfg := certutil.Config{CommonName: name, NotBefore: time.Now().Add(-backdate)}
	cert, err := certutil.NewSelfSignedCACert(cfg, key)
	if err != nil {
		return nil, fmt.Errorf("make CA %q: %w", name, err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, fmt.Errorf("encode key of CA %q: %w", name, err)
	}
	return &CA{cert: cert, key: key, pair: KeyPair{Cert: certPEM(cert.Raw), Key: keyPEM}}, nil
}

// LoadCA reads what [KeyPair.WriteFiles] of an authority wrote. The error is
// [fs.ErrNotExist] where there is none.
func LoadCA(dir, name string) (*CA, error) {
	certFile, keyFile := pairPaths(dir, name)
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("read CA certificate: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("read CA key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load CA %q: %w", certFile, err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("load CA %q: its key cannot sign", certFile)
	}
	return &CA{cert: pair.Leaf, key: signer, pair: KeyPair{Cert: cert, Key: key}}, nil
}

// openCA loads an authority, or makes and writes it where there is none yet, so that a
// control plane started again on its directory keeps its identity.
func openCA(dir, name string) (*CA, error) {
	ca, err := LoadCA(dir, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return ca, err
	}
	if ca, err = NewCA(name); err != nil {
		return nil, err
	}
	_, _, err = ca.KeyPair().WriteFiles(dir, name)
	return ca, err
}

// KeyPair returns the authority's own certificate and key.
func (c *CA) KeyPair() KeyPair { return c.pair }

// CertPEM returns the certificate that others trust.
func (c *CA) CertPEM() []byte { return c.pair.Cert }

// Pool returns a pool that trusts this authority alone.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	return pool
}

// IssueServing makes a serving certificate for DNS names and IP addresses.
func (c *CA) IssueServing(hosts ...string) (KeyPair, error) {
	if len(hosts) == 0 {
		return KeyPair{}, errors.New("issue serving certificate: no name or address to serve")
	}
	return c.issue(pkix.Name{CommonName: hosts[0]}, hosts, x509.ExtKeyUsageServerAuth)
}

// IssueClient makes a client certificate. Kubernetes reads the user's name from the common
// name and the groups from the organisations.
func (c *CA) IssueClient(user string, groups ...string) (KeyPair, error) {
	return c.issue(pkix.Name{CommonName: user, Organization: groups}, nil, x509.ExtKeyUsageClientAuth)
}

func (c *CA) issue(subject pkix.Name, hosts []string, usages ...x509.ExtKeyUsage) (KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, fmt.Errorf("generate key of %q: %w", subject.CommonName, err)
	}
	now := time.Now()
	template := &x509.Certificate{ // without a serial number, Go draws one
		Subject:     subject,
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(leafLifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: usages,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, key.Public(), c.key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("issue certificate of %q: %w", subject.CommonName, err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("encode key of %q: %w", subject.CommonName, err)
	}
	return KeyPair{Cert: certPEM(der), Key: keyPEM}, nil
}

// WriteFiles writes <name>.crt and <name>.key (mode 0600) into dir, which is made where missing.
func (k KeyPair) WriteFiles(dir, name string) (certFile, keyFile string, err error) {
	certFile, keyFile = pairPaths(dir, name)
	if err := certutil.WriteCert(certFile, k.Cert); err != nil {
		return "", "", fmt.Errorf("write certificate: %w", err)
	}
	if err := keyutil.WriteKey(keyFile, k.Key); err != nil {
		return "", "", fmt.Errorf("write key: %w", err)
	}
	return certFile, keyFile, nil
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certutil.CertificateBlockType, Bytes: der})
}

func pairPaths(dir, name string) (certFile, keyFile string) {
	return filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
}
