package authn

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/bearer"
)

// results are the counts of a family by its label result.
func results(t *testing.T, family string) map[string]float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		if f.GetName() == family {
			for _, m := range f.GetMetric() {
				found[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	return found
}

// grown are the results that do made grow.
func grown(t *testing.T, family string, do func()) map[string]float64 {
	t.Helper()
	before := results(t, family)
	do()
	changed := map[string]float64{}
	for result, count := range results(t, family) {
		if count != before[result] {
			changed[result] = count - before[result]
		}
	}
	return changed
}

func TestVerificationsAreCountedByResult(t *testing.T) {
	signer := newSigner(t)
	good := signed(t, signer, "here")
	parts, others := strings.Split(good, "."), strings.Split(signed(t, signer, "here"), ".")
	for _, tc := range []struct {
		name     string
		tokens   []string
		noBundle bool
		want     map[string]float64
	}{
		{"good", []string{good, good, good}, false, map[string]float64{"verified": 1, "cached": 2}},
		{"for another cluster", []string{signed(t, signer, "there")}, false, map[string]float64{"wrong-audience": 1}},
		{"signed for something else", []string{parts[0] + "." + parts[1] + "." + others[2]}, false, map[string]float64{"bad-signature": 1}},
		{"of another issuer", []string{"x"}, false, map[string]float64{"foreign": 1}},
		{"before there is a bundle", []string{good}, true, map[string]float64{"no-bundle": 1}},
		{"huge", []string{strings.Repeat("x", accesstoken.MaxTokenBytes+1)}, false, map[string]float64{"too-large": 1}},
		{"none", []string{""}, false, map[string]float64{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			verifier := accesstoken.NewVerifier(clock.RealClock{})
			if !tc.noBundle {
				verifier.SetBundle(bundle(signer))
			}
			a := &Authenticator{Direct: verifier, Reviewer: &host{}}
			got := grown(t, "loft_agent_token_verifications_total", func() {
				for _, token := range tc.tokens {
					r := httptest.NewRequest(http.MethodGet, "/", nil)
					r.Header.Set("Authorization", "Bearer "+token)
					_, _ = a.Authenticate(r)
				}
			})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReviewsAreCountedByResult(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status authenticationv1.TokenReviewStatus
		err    error
		want   map[string]float64
	}{
		{"known", authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "x"}}, nil,
			map[string]float64{"authenticated": 1}},
		{"unknown", authenticationv1.TokenReviewStatus{}, nil, map[string]float64{"refused": 1}},
		{"without a name", authenticationv1.TokenReviewStatus{Authenticated: true}, nil, map[string]float64{"failed": 1}},
		{"not asked", authenticationv1.TokenReviewStatus{}, errors.New("down"), map[string]float64{"failed": 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := fake.NewClientset()
			client.PrependReactor("create", "tokenreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, &authenticationv1.TokenReview{Status: tc.status}, tc.err
			})
			got := grown(t, "loft_agent_token_reviews_total", func() {
				v := bearer.NewReviewer(client.AuthenticationV1().TokenReviews(), time.Second, CountReview)
				_, _, _ = v.AuthenticateToken(context.Background(), "x")
			})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
		})
	}
}
