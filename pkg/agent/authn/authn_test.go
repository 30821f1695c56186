package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/bearer"
)

// host stands for the host cluster's TokenReview.
type host struct {
	asked []string
	ok    bool
	err   error
}

func (h *host) AuthenticateToken(_ context.Context, token string) (*authenticator.Response, bool, error) {
	h.asked = append(h.asked, token)
	if h.err != nil || !h.ok {
		return nil, false, h.err
	}
	return &authenticator.Response{User: &user.DefaultInfo{Name: "system:serviceaccount:a:b"}}, true, nil
}

func newSigner(t *testing.T) *accesstoken.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := accesstoken.NewSigner("https://manager.example.com", key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func signed(t *testing.T, signer *accesstoken.Signer, audience string) string {
	t.Helper()
	token, err := signer.Sign(accesstoken.Claims{
		Subject: accesstoken.PersonName("alice"), Groups: accesstoken.PersonGroups("alice"),
		Audience: jwt.Audience{audience}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func bundle(signer *accesstoken.Signer) *accesstoken.Bundle {
	b := &accesstoken.Bundle{Issuer: signer.Issuer(), ClusterUID: "here"}
	b.JWKS.Keys = append(b.JWKS.Keys, signer.PublicJWK())
	return b
}

func TestAuthenticate(t *testing.T) {
	signer, stranger := newSigner(t), newSigner(t)
	ours := signed(t, signer, "here")
	for _, tc := range []struct {
		name          string
		header        http.Header
		noBundle      bool
		host          host
		wantUser      string
		wantUnchecked bool
		wantAsked     int
	}{
		{name: "nothing", header: http.Header{}},
		{name: "direct token", header: bearing(ours), wantUser: "loft:user:alice"},
		{name: "direct token as a WebSocket protocol", header: http.Header{bearer.WebSocketProtocolHeader: {"v5.channel.k8s.io, " + bearer.Subprotocol + encode(ours)}}, wantUser: "loft:user:alice"},
		{name: "token of another cluster is not passed on", header: bearing(signed(t, signer, "there")), host: host{ok: true}},
		{name: "token of our issuer by another key is not passed on", header: bearing(signed(t, stranger, "here")), host: host{ok: true}},
		{name: "the host's token", header: bearing("opaque"), host: host{ok: true}, wantUser: "system:serviceaccount:a:b", wantAsked: 1},
		{name: "nobody's token", header: bearing("opaque"), wantAsked: 1},
		{name: "host silent", header: bearing("opaque"), host: host{err: ErrUnchecked}, wantUnchecked: true, wantAsked: 1},
		{name: "direct token before the first bundle might be good", header: bearing(ours), noBundle: true, wantUnchecked: true, wantAsked: 1},
		{name: "host's token before the first bundle", header: bearing("opaque"), noBundle: true, host: host{ok: true}, wantUser: "system:serviceaccount:a:b", wantAsked: 1},
		{name: "basic is not bearer", header: http.Header{"Authorization": {"Basic YTpi"}}},
		{name: "flood of a token's size", header: bearing(strings.Repeat("x", bearer.MaxReviewedToken+1)), host: host{ok: true}},
		{name: "front-proxy headers mean nothing without a certificate", header: http.Header{"X-Remote-User": {"admin"}, "X-Remote-Group": {"system:masters"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			verifier := accesstoken.NewVerifier(clock.RealClock{})
			if !tc.noBundle {
				verifier.SetBundle(bundle(signer))
			}
			a := &Authenticator{Direct: verifier, Reviewer: &tc.host, Certificates: everybody{}}
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header = tc.header
			caller, err := a.Authenticate(r)
			if (err == nil) != (tc.wantUser != "") || err == nil && caller.User.GetName() != tc.wantUser {
				t.Errorf("caller %+v, error %v; want user %q", caller, err, tc.wantUser)
			}
			if errors.Is(err, ErrUnchecked) != tc.wantUnchecked {
				t.Errorf("error %v, want unchecked: %t", err, tc.wantUnchecked)
			}
			if len(tc.host.asked) != tc.wantAsked {
				t.Errorf("the host was asked %d times, want %d", len(tc.host.asked), tc.wantAsked)
			}
			if token := bearer.Token(tc.header); err != nil && token != "" && strings.Contains(err.Error(), token) {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
}

// everybody would let anybody in by certificate.
type everybody struct{}

func (everybody) AuthenticateRequest(*http.Request) (*authenticator.Response, bool, error) {
	return &authenticator.Response{User: &user.DefaultInfo{Name: "admin"}}, true, nil
}

func bearing(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func encode(token string) string { return base64.RawURLEncoding.EncodeToString([]byte(token)) }
