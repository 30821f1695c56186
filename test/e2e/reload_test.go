package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"loft.sh/agent/test/controlplane"
)

// presented returns the serial number of the certificate that the endpoint shows a new connection.
func presented(ctx context.Context, pool *tls.Config) (string, error) {
	dialer := &tls.Dialer{Config: pool}
	conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(shared.EndpointURL(), "https://"))
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

func TestServingCertificateIsReloadedAndABrokenOneIsNot(t *testing.T) {
	pki := filepath.Dir(shared.EndpointCA())
	ca, err := controlplane.LoadCA(pki, "endpoint-ca")
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}
	before, err := presented(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.IssueServing("localhost", "127.0.0.1", "loft-agent-apiservice.loft.svc")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := pair.WriteFiles(pki, "agent"); err != nil {
		t.Fatal(err)
	}
	var after string
	await(t, func(ctx context.Context) error {
		if after, err = presented(ctx, config); err == nil && after == before {
			err = errors.New("still the old certificate")
		}
		return err
	})
	if err := os.WriteFile(filepath.Join(pki, "agent.crt"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, _, err := pair.WriteFiles(pki, "agent"); err != nil {
			t.Error(err)
		}
	})
	await(t, func(ctx context.Context) error {
		body, err := readyz(ctx, t)
		if err == nil && !strings.Contains(body, "serving-certificate (a newer one was refused") {
			err = errors.New("readyz does not show the refused certificate:\n" + body)
		}
		return err
	})
	if now, err := presented(t.Context(), config); err != nil || now != after {
		t.Errorf("serial %s, error %v; want the last good one, %s", now, err, after)
	}
}
