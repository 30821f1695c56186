package nodes

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"loft.sh/agent/test/controlplane"
)

const (
	authority = "kubelet-ca"
	client    = "kubelet-client"
)

// APIServerArgs makes the keys of the kubelet endpoint in dir, unless they are there, and
// returns the flags that let kube-apiserver use it. Pass the same dir to [Start].
func APIServerArgs(dir string) ([]string, error) {
	pki, err := filepath.Abs(filepath.Join(dir, "pki"))
	if err != nil {
		return nil, fmt.Errorf("directory of nodes: %w", err)
	}
	ca, err := openCA(pki)
	if err != nil {
		return nil, err
	}
	pair, err := ca.IssueClient("kube-apiserver")
	if err != nil {
		return nil, err
	}
	certFile, keyFile, err := pair.WriteFiles(pki, client)
	if err != nil {
		return nil, err
	}
	return []string{
		"--kubelet-client-certificate=" + certFile,
		"--kubelet-client-key=" + keyFile,
		"--kubelet-certificate-authority=" + filepath.Join(pki, authority+".crt"),
		"--kubelet-preferred-address-types=InternalIP",
	}, nil
}

func openCA(pki string) (*controlplane.CA, error) {
	ca, err := controlplane.LoadCA(pki, authority)
	if !errors.Is(err, fs.ErrNotExist) {
		return ca, err
	}
	if ca, err = controlplane.NewCA(authority); err != nil {
		return nil, err
	}
	_, _, err = ca.KeyPair().WriteFiles(pki, authority)
	return ca, err
}

// servingKeys loads the authority that APIServerArgs made and issues the kubelet's own certificate.
func servingKeys(dir string) (*controlplane.CA, tls.Certificate, error) {
	ca, err := controlplane.LoadCA(filepath.Join(dir, "pki"), authority)
	if err != nil {
		return nil, tls.Certificate{}, fmt.Errorf("keys of the kubelet (APIServerArgs makes them): %w", err)
	}
	pair, err := ca.IssueServing("127.0.0.1")
	if err != nil {
		return nil, tls.Certificate{}, err
	}
	certificate, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		return nil, tls.Certificate{}, fmt.Errorf("load kubelet certificate: %w", err)
	}
	return ca, certificate, nil
}
