package sandbox

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"loft.sh/agent/pkg/accesstoken"
)

// Issuer of the sandbox's tokens.
const Issuer = "https://sandbox.loft.sh"

const (
	signingKeyFile = "signing.key"
	clusterUIDFile = "cluster-uid"
)

// Keys sign direct endpoint tokens for one sandbox.
type Keys struct {
	signer     *accesstoken.Signer
	clusterUID string
}

// ClusterUID is the audience of tokens for this sandbox's cluster.
func (k Keys) ClusterUID() string { return k.clusterUID }

// Signer signs.
func (k Keys) Signer() *accesstoken.Signer { return k.signer }

// LoadKeys reads the keys of the sandbox in dir.
func LoadKeys(dir string) (Keys, error) {
	uid, err := os.ReadFile(filepath.Join(dir, clusterUIDFile))
	if errors.Is(err, os.ErrNotExist) {
		return Keys{}, fmt.Errorf("no sandbox in %q: start one with \"make sandbox\"", dir)
	} else if err != nil {
		return Keys{}, fmt.Errorf("sandbox's cluster UID: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(dir, signingKeyFile))
	if err != nil {
		return Keys{}, fmt.Errorf("sandbox's signing key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return Keys{}, errors.New("sandbox's signing key: not PEM")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return Keys{}, fmt.Errorf("sandbox's signing key: %w", err)
	}
	return newKeys(key, strings.TrimSpace(string(uid)))
}

func newKeys(key *ecdsa.PrivateKey, clusterUID string) (Keys, error) {
	signer, err := accesstoken.NewSigner(Issuer, key)
	if err != nil {
		return Keys{}, fmt.Errorf("sandbox's signing key: %w", err)
	}
	return Keys{signer: signer, clusterUID: clusterUID}, nil
}

// createKeys makes keys for the cluster with clusterUID and stores them in dir.
func createKeys(dir, clusterUID string) (Keys, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Keys{}, fmt.Errorf("signing key: %w", err)
	}
	return StoreKeys(dir, clusterUID, key)
}

// StoreKeys stores a key that signs for the cluster with clusterUID where LoadKeys finds it.
func StoreKeys(dir, clusterUID string, key *ecdsa.PrivateKey) (Keys, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Keys{}, fmt.Errorf("signing key: %w", err)
	}
	data := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, signingKeyFile), data, 0o600); err != nil {
		return Keys{}, fmt.Errorf("signing key: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, clusterUIDFile), []byte(clusterUID+"\n"), 0o600); err != nil {
		return Keys{}, fmt.Errorf("cluster UID: %w", err)
	}
	return newKeys(key, clusterUID)
}
