package accesstoken

import (
	"crypto"
	"fmt"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/utils/clock"
)

func benchWorld(b *testing.B, key crypto.Signer) (*Verifier, string) {
	b.Helper()
	s := newTestSigner(b, key)
	v := NewVerifier(clock.RealClock{})
	v.SetBundle(&Bundle{Issuer: testIssuer, ClusterUID: testCluster, JWKS: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{s.PublicJWK()}}})
	c := Claims{
		Subject: PersonName("alice"), Audience: jwt.Audience{testCluster}, UID: "0b6f5f3e-9a57-4d5f-8a52-2f8a3b0f3c11",
		Expiry: date(time.Now().Add(24 * time.Hour)), Groups: PersonGroups("alice", "blue", "green"), AccessKey: "key-1",
	}
	return v, sign(b, s, c)
}

func BenchmarkVerifyCached(b *testing.B) {
	v, token := benchWorld(b, newECKey(b))
	mustVerify(b, v, token)
	b.ReportMetric(float64(len(token)), "token-B")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyCachedParallel(b *testing.B) {
	v, token := benchWorld(b, newECKey(b))
	mustVerify(b, v, token)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := v.Verify(token); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkVerifyCold(b *testing.B) {
	for _, key := range []crypto.Signer{newECKey(b), newEdKey(b)} {
		v, token := benchWorld(b, key)
		b.Run(fmt.Sprintf("%T", key), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.current.Load().verify(token, time.Now()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkValid(b *testing.B) {
	v, token := benchWorld(b, newECKey(b))
	id := mustVerify(b, v, token)
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Valid(id); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkForeign(b *testing.B) {
	v, _ := benchWorld(b, newECKey(b))
	token := signUnchecked(b, newTestSigner(b, newECKey(b)), nil, map[string]any{"iss": "https://kubernetes.default.svc", "sub": "x"})
	b.ReportAllocs()
	for b.Loop() {
		_, _ = v.Verify(token)
	}
}
