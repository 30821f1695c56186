package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/client-go/util/keyutil"
)

// frontProxyUser is the only name that may speak for others with X-Remote-* headers.
const frontProxyUser = "front-proxy-client"

// pki holds the authorities of one control plane. What they issue lies beside them in dir.
type pki struct {
	dir string
	// cluster signs serving and client certificates, frontProxy those of the aggregator,
	// etcd those that open the store: a client of the cluster must not read it directly.
	cluster, frontProxy, etcd *CA
}

func (p *pki) path(name string) string { return filepath.Join(p.dir, name) }

// openPKI loads the authorities in dir or makes them, and issues new leaf certificates.
func openPKI(dir string) (*pki, error) {
	p := &pki{dir: dir}
	for _, authority := range []struct {
		name string
		ca   **CA
	}{
		{"ca", &p.cluster},
		{"front-proxy-ca", &p.frontProxy},
		{"etcd-ca", &p.etcd},
	} {
		ca, err := openCA(dir, authority.name)
		if err != nil {
			return nil, err
		}
		*authority.ca = ca
	}
	if err := p.issueLeaves(); err != nil {
		return nil, err
	}
	return p, p.openServiceAccountKey()
}

func (p *pki) issueLeaves() error {
	local := []string{"127.0.0.1", "::1", "localhost"}
	apiServer := append([]string{"kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local", firstServiceIP}, local...)
	for _, leaf := range []struct {
		name  string
		issue func() (KeyPair, error)
	}{
		{"apiserver", func() (KeyPair, error) { return p.cluster.IssueServing(apiServer...) }},
		{"controller-manager", func() (KeyPair, error) { return p.cluster.IssueServing(local...) }},
		{"front-proxy-client", func() (KeyPair, error) { return p.frontProxy.IssueClient(frontProxyUser) }},
		{"apiserver-etcd-client", func() (KeyPair, error) { return p.etcd.IssueClient("kube-apiserver") }},
		{"etcd", func() (KeyPair, error) { // a member is a server and a client of its peers
			return p.etcd.issue(pkix.Name{CommonName: "etcd"}, local,
				x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
		}},
	} {
		pair, err := leaf.issue()
		if err != nil {
			return err
		}
		if _, _, err := pair.WriteFiles(p.dir, leaf.name); err != nil {
			return err
		}
	}
	return nil
}

// openServiceAccountKey makes the key that signs service account tokens, unless there is
// one: tokens of an earlier start stay good.
func (p *pki) openServiceAccountKey() error {
	path := p.path("service-account.key")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("generate service account key: %w", err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return fmt.Errorf("encode service account key: %w", err)
	}
	if err := keyutil.WriteKey(path, keyPEM); err != nil {
		return fmt.Errorf("write service account key: %w", err)
	}
	return nil
}

// etcdTLS is how the health check of etcd proves that it may ask.
func (p *pki) etcdTLS() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(p.path("apiserver-etcd-client.crt"), p.path("apiserver-etcd-client.key"))
	if err != nil {
		return nil, fmt.Errorf("load etcd client certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: p.etcd.Pool()}, nil
}
