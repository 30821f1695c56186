package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

func TestHostCredential(t *testing.T) {
	dir := t.TempDir()
	token, certificate := filepath.Join(dir, "token"), filepath.Join(dir, "tls.crt")
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(certificate, "no certificate\n")
	byCertificate := &rest.Config{TLSClientConfig: rest.TLSClientConfig{CertFile: certificate, KeyFile: certificate}}
	for _, tc := range []struct {
		name    string
		config  *rest.Config
		content string
		want    string
	}{
		{"good token", &rest.Config{BearerTokenFile: token}, "secret-good\n", ""},
		{"empty token", &rest.Config{BearerTokenFile: token}, " \n", "is empty"},
		{"no token file", &rest.Config{BearerTokenFile: filepath.Join(dir, "none")}, "", "no such file"},
		{"token from no file", &rest.Config{BearerToken: "secret"}, "", ""},
		{"broken certificate", byCertificate, "", certificate},
	} {
		t.Run(tc.name, func(t *testing.T) {
			write(token, tc.content)
			c := &hostCredential{config: tc.config}
			c.look()
			got := c.Problem()
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) || strings.Contains(got, "secret") {
				t.Errorf("problem %q, want %q in it", got, tc.want)
			}
			write(token, "secret-again")
			c.config = &rest.Config{BearerTokenFile: token}
			if c.look(); c.Problem() != "" {
				t.Errorf("problem %q of a credential that was repaired", c.Problem())
			}
		})
	}
}
