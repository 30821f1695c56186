package proof

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
)

func TestNonce(t *testing.T) {
	one, two := NewNonce(), NewNonce()
	if one == two || CheckNonce(one) != nil {
		t.Errorf("nonces %q and %q", one, two)
	}
	for _, bad := range []string{"", "short", strings.Repeat("a", 65), strings.Repeat("a", 16) + ",https://kubernetes.default.svc", strings.Repeat("ä", 16), strings.Repeat("a", 16) + "\n"} {
		if CheckNonce(bad) == nil {
			t.Errorf("nonce %q is taken", bad)
		}
	}
}

func TestNoUserCanBeTheProber(t *testing.T) {
	name := strings.TrimPrefix(Prober, "loft:user:")
	if len(validation.IsDNS1123Subdomain(name)) == 0 {
		t.Errorf("a User may be named %q", name)
	}
}
