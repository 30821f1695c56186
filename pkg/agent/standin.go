package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"fmt"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	certutil "k8s.io/client-go/util/cert"
)

// standIn names a CA where there is none yet: without any the generic server refuses every
// handshake, and health checks with them. Nobody holds the key of that CA, and a listener only
// tells clients its name: what verifies certificates is CAContentProvider, which has nothing yet.
type standIn struct {
	dynamiccertificates.CAContentProvider
	dynamiccertificates.ControllerRunner
	bundle []byte
}

func newStandIn(ca dynamiccertificates.CAContentProvider) (*standIn, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("stand-in CA: %w", err)
	}
	certificate, err := certutil.NewSelfSignedCACert(certutil.Config{CommonName: "nobody"}, key)
	if err != nil {
		return nil, fmt.Errorf("stand-in CA: %w", err)
	}
	s := &standIn{
		CAContentProvider: ca, ControllerRunner: nothingToRun{},
		bundle: pem.EncodeToMemory(&pem.Block{Type: certutil.CertificateBlockType, Bytes: certificate.Raw}),
	}
	if runner, ok := ca.(dynamiccertificates.ControllerRunner); ok {
		s.ControllerRunner = runner
	}
	return s, nil
}

// CurrentCABundleContent implements dynamiccertificates.CAContentProvider.
func (s *standIn) CurrentCABundleContent() []byte {
	if bundle := s.CAContentProvider.CurrentCABundleContent(); len(bundle) > 0 {
		return bundle
	}
	return s.bundle
}

type nothingToRun struct{}

func (nothingToRun) RunOnce(context.Context) error { return nil }

func (nothingToRun) Run(context.Context, int) {}
