package manager

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// helpFile holds what people see; UPDATE_GOLDEN=true go test ./pkg/manager writes it anew.
const helpFile = "testdata/help.txt"

func TestHelp(t *testing.T) {
	cmd := NewCommand(t.Context())
	var got bytes.Buffer
	cmd.SetOut(&got)
	cmd.SetArgs([]string{"--help"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOLDEN") == "true" {
		if err := os.WriteFile(helpFile, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(helpFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("--help (-want +got):\n%s", diff)
	}
}

func TestBadFlagsAreReportedAtOnce(t *testing.T) {
	cmd := NewCommand(t.Context())
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs([]string{"--public-insecure-port=70000", "--public-trusted-proxies=foo", "--authentication-failure-burst=0", "--kubeconfig=absent", "--issuer=x", "--leader-elect-retry-period=0", "--namespace=A"})
	err := cmd.Execute()
	if err == nil {
		t.Fatal("started")
	}
	for _, flag := range []string{"--public-insecure-port", "--public-trusted-proxies", "--authentication-failure-burst", "--kubeconfig", "--issuer", "--leader-elect-renew-deadline", "--namespace"} {
		if !bytes.Contains([]byte(err.Error()), []byte(flag)) {
			t.Errorf("the error does not name %s: %v", flag, err)
		}
	}
}
