package controlplane

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

func newTestCA(t *testing.T) *CA {
	t.Helper()
	ca, err := NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// leaf parses a pair as a server would.
func leaf(t *testing.T, pair KeyPair, err error) *x509.Certificate {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Leaf
}

func TestIssueServing(t *testing.T) {
	ca := newTestCA(t)
	pair, err := ca.IssueServing("localhost", "127.0.0.1", "::1")
	cert := leaf(t, pair, err)
	for _, test := range []struct {
		host    string
		pool    *x509.CertPool
		usage   x509.ExtKeyUsage
		wantErr bool
	}{
		{"localhost", ca.Pool(), x509.ExtKeyUsageServerAuth, false},
		{"127.0.0.1", ca.Pool(), x509.ExtKeyUsageServerAuth, false},
		{"::1", ca.Pool(), x509.ExtKeyUsageServerAuth, false},
		{"elsewhere", ca.Pool(), x509.ExtKeyUsageServerAuth, true},
		{"localhost", ca.Pool(), x509.ExtKeyUsageClientAuth, true},
		{"localhost", newTestCA(t).Pool(), x509.ExtKeyUsageServerAuth, true},
	} {
		_, err := cert.Verify(x509.VerifyOptions{DNSName: test.host, Roots: test.pool, KeyUsages: []x509.ExtKeyUsage{test.usage}})
		if (err != nil) != test.wantErr {
			t.Errorf("verify for %q and usage %v: %v, want error %t", test.host, test.usage, err, test.wantErr)
		}
	}
}

func TestIssueClient(t *testing.T) {
	ca := newTestCA(t)
	pair, err := ca.IssueClient("alice", "team-a", "team-b")
	cert := leaf(t, pair, err)
	if cert.Subject.CommonName != "alice" {
		t.Errorf("user = %q", cert.Subject.CommonName)
	}
	if diff := cmp.Diff([]string{"team-a", "team-b"}, cert.Subject.Organization); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: ca.Pool(), KeyUsages: usages}); err != nil {
		t.Error(err)
	}
	if other, err := ca.IssueClient("alice"); leaf(t, other, err).SerialNumber.Cmp(cert.SerialNumber) == 0 {
		t.Error("two certificates have the same serial number")
	}
}

func TestLoadCA(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	if _, err := LoadCA(dir, "ca"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error without files = %v", err)
	}
	written := newTestCA(t)
	_, keyFile, err := written.KeyPair().WriteFiles(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(keyFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the key = %v, %v", info.Mode(), err)
	}
	loaded, err := LoadCA(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := loaded.IssueClient("alice")
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := leaf(t, pair, err).Verify(x509.VerifyOptions{Roots: written.Pool(), KeyUsages: usages}); err != nil {
		t.Errorf("issued by the loaded authority: %v", err)
	}
}

func TestWriteKubeconfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte("earlier"), 0o644); err != nil {
		t.Fatal(err)
	}
	want := &rest.Config{
		Host:        "https://127.0.0.1:6443/kubernetes/cluster",
		BearerToken: "secret",
		TLSClientConfig: rest.TLSClientConfig{
			ServerName: "agent", CAData: []byte("ca"), CertData: []byte("cert"), KeyData: []byte("key"),
		},
		Impersonate: rest.ImpersonationConfig{UserName: "alice", UID: "1", Groups: []string{"team-a"}},
	}
	if err := WriteKubeconfig(path, "sandbox", want); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v", info.Mode(), err)
	}
	raw, err := clientcmd.LoadFromFile(path)
	if err != nil || raw.CurrentContext != "sandbox" {
		t.Errorf("context = %v, %v", raw, err)
	}
	got, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(sameConfig)); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

// sameConfig compares what a kubeconfig can hold.
func sameConfig(a, b *rest.Config) bool {
	return a.Host == b.Host && a.BearerToken == b.BearerToken &&
		cmp.Equal(a.TLSClientConfig, b.TLSClientConfig) && a.Impersonate.UserName == b.Impersonate.UserName &&
		a.Impersonate.UID == b.Impersonate.UID && cmp.Equal(a.Impersonate.Groups, b.Impersonate.Groups)
}
