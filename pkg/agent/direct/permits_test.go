package direct

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/door"
)

func TestPermitIsKnownForAWhile(t *testing.T) {
	p := newPermits()
	asked := permit{token: &accesstoken.Identity{}, verb: "get"}
	now := time.Now()
	p.add(asked, now)
	for _, step := range []struct {
		after time.Duration
		asked permit
		want  known
	}{
		{permitTTL - 1, asked, freshPermit},
		{permitTTL - 1, permit{token: asked.token, verb: "create"}, unknownPermit},
		{permitTTL - 1, permit{token: &accesstoken.Identity{ID: "other"}, verb: "get"}, unknownPermit},
		{permitTTL, asked, stalePermit},
		{permitTTL, asked, freshPermit}, // somebody is asking
		{2 * permitTTL, asked, stalePermit},
		{permitStale, asked, unknownPermit},
	} {
		if got := p.look(step.asked, now.Add(step.after)); got != step.want {
			t.Errorf("%s, %q: %d, want %d", step.after, step.asked.verb, got, step.want)
		}
	}
	p.remove(asked)
	if got := p.look(asked, now); got != unknownPermit {
		t.Errorf("after removal: %d", got)
	}
	for range maxPermits + 1 {
		p.add(permit{token: &accesstoken.Identity{}}, now)
	}
	if len(p.granted) > maxPermits {
		t.Errorf("%d permits are kept", len(p.granted))
	}
}

func TestKnownTokenIsLetThroughWhileNobodyCanBeAskedAndNobodyElse(t *testing.T) {
	allowed := decide{decision: authorizer.DecisionAllow}
	down := decide{decision: authorizer.DecisionNoOpinion, err: errors.New("down")}
	denied := decide{decision: authorizer.DecisionNoOpinion}
	for _, tc := range []struct {
		name   string
		before *decide
		now    decide
		want   func(error) bool
	}{
		{"never asked", nil, down, apierrors.IsServiceUnavailable},
		{"allowed before, nobody to ask", &allowed, down, func(err error) bool { return err == nil }},
		{"allowed before, withdrawn", &allowed, denied, apierrors.IsForbidden},
		{"denied before, nobody to ask", &denied, down, apierrors.IsServiceUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer := tc.now
			access := NewAccess(authorizer.AuthorizerFunc(
				func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
					current := answer
					return current.Authorize(ctx, a)
				}), nil)
			r := httptest.NewRequest(http.MethodGet, ClusterPrefix+"/api", nil)
			target := newTarget(t, r)
			caller := &door.Caller{User: &user.DefaultInfo{Name: "alice"}, Token: &accesstoken.Identity{}}
			if tc.before != nil {
				answer = *tc.before
				_ = access.Permit(r, caller, target)
				answer = tc.now
				// Time passes.
				for asked, yes := range access.permits.granted {
					yes.until = yes.said
					access.permits.granted[asked] = yes
				}
			}
			if err := access.Permit(r, caller, target); !tc.want(err) {
				t.Errorf("unexpected: %v", err)
			}
		})
	}
}
