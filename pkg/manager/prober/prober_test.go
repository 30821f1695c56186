package prober

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/bearer"
	"loft.sh/agent/pkg/endpoint"
	"loft.sh/agent/pkg/manager/netfault"
	"loft.sh/agent/pkg/proof"
)

const clusterUID = "uid-eu"

// agent is a fake agent of the cluster hostUID.
type agent struct {
	*httptest.Server
	verifier *accesstoken.Verifier
	// override answers in its place, by path.
	override map[string]http.HandlerFunc
	token    string
}

func newSigner(t *testing.T) *accesstoken.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := accesstoken.NewSigner("https://manager.example.com", key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newAgent(t *testing.T, signer *accesstoken.Signer, hostUID string) *agent {
	t.Helper()
	a := &agent{verifier: accesstoken.NewVerifier(clock.RealClock{}), override: map[string]http.HandlerFunc{}, token: "token of " + hostUID}
	bundle := &accesstoken.Bundle{Issuer: signer.Issuer(), ClusterUID: hostUID}
	bundle.JWKS.Keys = append(bundle.JWKS.Keys, signer.PublicJWK())
	a.verifier.SetBundle(bundle)
	a.Server = httptest.NewUnstartedServer(a)
	a.Config.ErrorLog = log.New(io.Discard, "", 0)
	a.StartTLS()
	t.Cleanup(a.Close)
	return a
}

func (a *agent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if handler := a.override[r.URL.Path]; handler != nil {
		handler(w, r)
		return
	}
	if r.URL.Path == "/healthz" {
		_, _ = w.Write([]byte("ok"))
		return
	}
	identity, err := a.verifier.Verify(bearer.Token(r.Header))
	if err != nil || identity.User.GetName() != proof.Prober || r.Method != http.MethodPost || r.URL.Path != proof.Path {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"kind":"Status","status":"Failure","message":"Unauthorized: ` + err.Error() + `"}`))
		return
	}
	_, _ = w.Write([]byte(`{"kind":"TokenRequest","status":{"token":"` + a.token + " for " + r.URL.Query().Get("nonce") + `"}}`))
}

// cluster is the API server of a cluster: it knows the tokens of its own agent.
type cluster struct {
	token, username string
	err             error
}

func (c cluster) Review(_ context.Context, token, audience string) (string, error) {
	if c.err == nil && token == c.token+" for "+strings.TrimPrefix(audience, "loft.sh/endpoint-proof:") {
		return c.username, nil
	}
	return "", c.err
}

func TestProbe(t *testing.T) {
	signer := newSigner(t)
	answer := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code); _, _ = w.Write([]byte(body)) }
	}
	eu := cluster{token: "token of uid-eu", username: proof.Username}
	for _, tt := range []struct {
		name        string
		hostUID     string
		signer      *accesstoken.Signer
		health      http.HandlerFunc
		proof       http.HandlerFunc
		reviewer    Reviewer
		want        string
		wantUnknown bool
	}{
		{name: "this cluster", reviewer: eu, want: ReasonReachable},
		{name: "another cluster", hostUID: "uid-us", reviewer: eu, want: ReasonAnotherCluster},
		{name: "agent that lies", proof: answer(200, `{"kind":"TokenRequest","status":{"token":"token of uid-eu for another nonce"}}`), reviewer: eu, want: ReasonAnotherCluster},
		{name: "another account", reviewer: cluster{token: eu.token, username: "system:serviceaccount:loft:default"}, want: ReasonAnotherCluster},
		{name: "another manager's agent", signer: newSigner(t), reviewer: eu, want: ReasonTokenRefused},
		{name: "not connected", want: ReasonNoProof, wantUnknown: true},
		{name: "review fails", reviewer: cluster{err: errors.New("no answer")}, want: ReasonNoProof, wantUnknown: true},
		{name: "agent cannot prove", proof: answer(503, `{"kind":"Status","reason":"ServiceUnavailable"}`), reviewer: eu, want: ReasonNoProof, wantUnknown: true},
		{name: "not healthy", health: answer(500, "no"), reviewer: eu, want: ReasonNotHealthy},
		{name: "no backend", health: answer(503, "nginx"), reviewer: eu, want: ReasonNotHealthy},
		{name: "web site", health: answer(200, "<html>"), reviewer: eu, want: ReasonNotAnAgent},
		{name: "nothing there", health: answer(404, ""), reviewer: eu, want: ReasonNotAnAgent},
		{name: "redirect", health: redirect, reviewer: eu, want: ReasonNotAnAgent},
		{name: "health alone", proof: answer(404, `{"kind":"Status"}`), reviewer: eu, want: ReasonNotAnAgent},
		{name: "health alone, and text", proof: answer(200, "ok"), reviewer: eu, want: ReasonNotAnAgent},
		{name: "closes", health: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, reviewer: eu, want: netfault.Unreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			trusted := signer
			if tt.signer != nil {
				trusted = tt.signer
			}
			hostUID := clusterUID
			if tt.hostUID != "" {
				hostUID = tt.hostUID
			}
			a := newAgent(t, trusted, hostUID)
			if tt.health != nil {
				a.override["/healthz"] = tt.health
			}
			if tt.proof != nil {
				a.override[proof.Path] = tt.proof
			}
			e := &endpoint.Endpoint{URL: a.URL, CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})}
			got := New(signer, 5*time.Second, clock.RealClock{}).Probe(t.Context(), e, clusterUID, tt.reviewer)
			if got.Reason != tt.want || got.Unknown != tt.wantUnknown || got.Reachable != (tt.want == ReasonReachable) || got.Message == "" {
				t.Errorf("got %+v, want %s", got, tt.want)
			}
			if (got.Latency > 0) != (tt.health == nil) {
				t.Errorf("latency %s", got.Latency)
			}
		})
	}
}

// redirect leads to something that looks well.
func redirect(w http.ResponseWriter, r *http.Request) {
	if r.URL.RawQuery == "" {
		http.Redirect(w, r, "/healthz?again", http.StatusFound)
		return
	}
	_, _ = w.Write([]byte("ok"))
}

func TestConnectionFaults(t *testing.T) {
	signer := newSigner(t)
	a := newAgent(t, signer, clusterUID)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw})
	otherCA, _, err := cert.GenerateSelfSignedCertKey("other", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	localhost := strings.Replace(a.URL, "127.0.0.1", "localhost", 1)
	for _, tt := range []struct {
		name     string
		endpoint endpoint.Endpoint
		want     string
	}{
		{"system's roots", endpoint.Endpoint{URL: a.URL}, netfault.CertificateUnknownAuthority},
		{"wrong CA", endpoint.Endpoint{URL: a.URL, CAData: otherCA}, netfault.CertificateUnknownAuthority},
		{"wrong name", endpoint.Endpoint{URL: localhost, CAData: ca}, netfault.CertificateNameMismatch},
		{"insecure", endpoint.Endpoint{URL: localhost, Insecure: true}, ReasonReachable},
		{"dead host", endpoint.Endpoint{URL: "https" + strings.TrimPrefix(closed.URL, "http")}, netfault.ConnectionRefused},
		{"silent host", endpoint.Endpoint{URL: "https://" + silent.Addr().String()}, netfault.Timeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			patience := 5 * time.Second
			if tt.want == netfault.Timeout {
				patience = 50 * time.Millisecond
			}
			reviewer := cluster{token: "token of uid-eu", username: proof.Username}
			got := New(signer, patience, clock.RealClock{}).Probe(t.Context(), &tt.endpoint, clusterUID, reviewer)
			if got.Reason != tt.want {
				t.Errorf("got %+v, want %s", got, tt.want)
			}
		})
	}
}

// TestStrangerGetsNoTokenOfUse is an annotation that leads to somebody who collects tokens.
func TestStrangerGetsNoTokenOfUse(t *testing.T) {
	signer := newSigner(t)
	a := newAgent(t, signer, clusterUID)
	var collected string
	a.override[proof.Path] = func(w http.ResponseWriter, r *http.Request) {
		collected = bearer.Token(r.Header)
		w.WriteHeader(http.StatusTeapot)
	}
	New(signer, 5*time.Second, clock.RealClock{}).Probe(t.Context(), &endpoint.Endpoint{URL: a.URL, Insecure: true}, clusterUID, cluster{})
	identity, err := a.verifier.Verify(collected)
	if err != nil {
		t.Fatal(err)
	}
	if groups := identity.User.GetGroups(); !slices.Equal(groups, []string{"system:authenticated"}) || identity.User.GetName() != proof.Prober || time.Until(identity.Expiry) > tokenLifetime {
		t.Errorf("the token is of %s in groups %q until %s", identity.User.GetName(), identity.User.GetGroups(), identity.Expiry)
	}
}
