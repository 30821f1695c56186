package serving

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

var (
	now   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	names = []string{"loft-agent-apiservice.loft.svc", "loft-agent.loft.svc"}
)

func renew(t *testing.T, p Pair, at time.Time) Pair {
	t.Helper()
	next, err := p.Renew(names, at)
	if err != nil {
		t.Fatal(err)
	}
	if problem := next.Problem(names, at); problem != "" {
		t.Fatalf("a new certificate has a problem: %s", problem)
	}
	return next
}

// verify checks the certificate of p as the aggregator does, with the authorities of another.
func verify(t *testing.T, p Pair, authorities []byte, at time.Time) {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities) {
		t.Fatal("no authority")
	}
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: names[0], Roots: roots, CurrentTime: at}); err != nil {
		t.Errorf("verify: %v", err)
	}
}

func TestRenewedCertificateKeepsItsAuthority(t *testing.T) {
	first := renew(t, Pair{}, now)
	verify(t, first, first.CA, now)
	later := now.Add(lifetime - margin + time.Minute)
	if first.Problem(names, later) == "" {
		t.Error("no problem with a certificate that ends within the margin")
	}
	second := renew(t, first, later)
	if !bytes.Equal(first.CA, second.CA) || bytes.Equal(first.Cert, second.Cert) || bytes.Equal(first.Key, second.Key) {
		t.Error("not a new certificate of the same authority")
	}
	verify(t, second, first.CA, later)
}

// TestRenewedAuthorityTrustsTheOneBefore is the aggregator while the agent has not read its new
// certificate yet.
func TestRenewedAuthorityTrustsTheOneBefore(t *testing.T) {
	first := renew(t, Pair{}, now)
	later := now.Add(caLifetime - caMargin + time.Minute)
	recent := renew(t, first, later.Add(-time.Hour))
	second := renew(t, recent, later)
	if bytes.HasPrefix(first.CA, second.CA) || bytes.Equal(first.CAKey, second.CAKey) {
		t.Error("the authority was not renewed")
	}
	verify(t, recent, second.CA, later)
	verify(t, second, second.CA, later)
	third := renew(t, second, later.Add(caLifetime-caMargin+time.Minute))
	if n := bytes.Count(third.CA, []byte("BEGIN")); n != 2 {
		t.Errorf("%d authorities, want the new one and the one before", n)
	}
}

func TestProblems(t *testing.T) {
	good, other := renew(t, Pair{}, now), renew(t, Pair{}, now)
	for _, tt := range []struct {
		name string
		pair Pair
	}{
		{"nothing", Pair{}},
		{"no authority", Pair{Cert: good.Cert, Key: good.Key}},
		{"authority's key of another", Pair{CA: good.CA, CAKey: other.CAKey, Cert: good.Cert, Key: good.Key}},
		{"another authority", Pair{CA: other.CA, CAKey: other.CAKey, Cert: good.Cert, Key: good.Key}},
		{"key of another", Pair{CA: good.CA, CAKey: good.CAKey, Cert: good.Cert, Key: other.Key}},
		{"certificate as authority", Pair{CA: good.Cert, CAKey: good.Key, Cert: good.Cert, Key: good.Key}},
		{"broken", Pair{CA: []byte("x"), CAKey: []byte("x"), Cert: []byte("x"), Key: []byte("x")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.pair.Problem(names, now) == "" {
				t.Error("no problem")
			}
			renew(t, tt.pair, now)
		})
	}
	if good.Problem([]string{"other.loft.svc"}, now) == "" {
		t.Error("no problem with a certificate that does not name the host")
	}
}
