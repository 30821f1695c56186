package agent

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// helpFile holds what people see; UPDATE_GOLDEN=true go test ./pkg/agent writes it anew.
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
	cmd.SetArgs([]string{"--direct-insecure-port=70000", "--direct-trusted-proxies=foo", "--trust-bundle-configmap=x", "--kubeconfig=absent"})
	err := cmd.Execute()
	if err == nil {
		t.Fatal("started")
	}
	for _, flag := range []string{"--direct-insecure-port", "--direct-trusted-proxies", "--trust-bundle-configmap", "--kubeconfig"} {
		if !bytes.Contains([]byte(err.Error()), []byte(flag)) {
			t.Errorf("the error does not name %s: %v", flag, err)
		}
	}
}
