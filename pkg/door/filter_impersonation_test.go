package door

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"loft.sh/agent/pkg/doors"
)

// may is an authorizer that allows alice to impersonate bob alone.
var may = authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetUser().GetName() == testUser && a.GetVerb() == "impersonate" && a.GetResource() == "users" && a.GetName() == "bob" {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
})

func TestImpersonation(t *testing.T) {
	for _, tc := range []struct {
		name       string
		aggregated bool
		judge      authorizer.Authorizer
		header     http.Header
		wantCode   int
		want       http.Header
	}{
		{"nobody", false, may, http.Header{}, http.StatusOK, http.Header{"Impersonate-User": {testUser}}},
		{"allowed", false, may, http.Header{"Impersonate-User": {"bob"}}, http.StatusOK, http.Header{"Impersonate-User": {"bob"}}},
		{"refused", false, may, http.Header{"Impersonate-User": {"admin"}}, http.StatusForbidden, nil},
		{"deferred to the door behind", false, nil, http.Header{"Impersonate-User": {"bob"}, "Impersonate-Group": {"x"}}, http.StatusOK,
			http.Header{"Impersonate-User": {testUser}, "X-Loft-Impersonate-User": {"bob"}, "X-Loft-Impersonate-Group": {"x"}}},
		{"forged as if deferred", false, nil, http.Header{"X-Loft-Impersonate-User": {"bob"}}, http.StatusOK,
			http.Header{"Impersonate-User": {testUser}}},
		{"deferred, at a door for strangers", false, may, http.Header{"X-Loft-Impersonate-User": {"bob"}}, http.StatusOK,
			http.Header{"Impersonate-User": {testUser}}},
		{"deferred, allowed", true, may, http.Header{"X-Loft-Impersonate-User": {"bob"}}, http.StatusOK, http.Header{"Impersonate-User": {"bob"}}},
		{"deferred, refused", true, may, http.Header{"X-Loft-Impersonate-User": {"admin"}}, http.StatusForbidden, nil},
		{"deferred groups without a user", true, may, http.Header{"X-Loft-Impersonate-Group": {"system:masters"}}, http.StatusBadRequest, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			received := make(chan http.Header, 1)
			host := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { received <- r.Header })
			d := newDoor(t, host, allow, func(c *Config) { c.Aggregated, c.Impersonation = tc.aggregated, tc.judge })
			tc.header.Set("Authorization", "Bearer "+d.token)
			if code := d.try(t, http.MethodGet, testPrefix+"/api/v1/pods", tc.header); code != tc.wantCode {
				t.Fatalf("code %d, want %d", code, tc.wantCode)
			}
			if tc.want == nil {
				return
			}
			got := http.Header{}
			for key, values := range <-received {
				if key == "Impersonate-User" || key == "Impersonate-Uid" || len(key) > 6 && key[:6] == "X-Loft" {
					got[key] = values
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryAnswerOfDoor2BearsTheMark(t *testing.T) {
	for _, tc := range []struct {
		name, path string
		aggregated bool
		want       []string
	}{
		{"door 1", testPrefix + "/api", false, nil},
		{"door 2", testPrefix + "/api", true, []string{"true"}},
		{"door 2, a refusal", testPrefix + "//api", true, []string{"true"}},
		{"the API server says so, too", testPrefix + "/marked", true, []string{"true"}},
		{"the API server alone says so", testPrefix + "/marked", false, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			host := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/marked" {
					w.Header().Set(doors.AgentHeader, "mine")
				}
			})
			d := newDoor(t, host, allow, func(c *Config) { c.Aggregated, c.Marked = tc.aggregated, tc.aggregated })
			if diff := cmp.Diff(tc.want, d.get(t.Context(), t, tc.path).Header[doors.AgentHeader]); diff != "" {
				t.Errorf("mark (-want +got):\n%s", diff)
			}
		})
	}
}
