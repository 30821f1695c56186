package door

import (
	"net/http"
	"testing"

	"loft.sh/agent/pkg/accesstoken"
)

func TestScopeOfVirtualClusters(t *testing.T) {
	dev := accesstoken.VirtualClusterRef{Space: "team-a", Name: "dev"}
	for _, tc := range []struct {
		name, method string
		scope        accesstoken.Scope
		want         bool
	}{
		{"no scope", http.MethodPost, accesstoken.Scope{}, true},
		{"itself", http.MethodPost, accesstoken.Scope{VirtualClusters: []accesstoken.VirtualClusterRef{dev}}, true},
		{"its space", http.MethodPost, accesstoken.Scope{Spaces: []string{"team-a"}}, true},
		{"another space's, of its name", http.MethodGet,
			accesstoken.Scope{VirtualClusters: []accesstoken.VirtualClusterRef{{Space: "team-b", Name: "dev"}}}, false},
		{"another space", http.MethodGet, accesstoken.Scope{Spaces: []string{"team-b"}}, false},
		{"read-only", http.MethodPost, accesstoken.Scope{ReadOnly: true, Spaces: []string{"team-a"}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			target, err := Parse(newRequest(t, tc.method, testPrefix+"/api/v1/namespaces/a/pods"), At(testPrefix, nil), "")
			if err != nil {
				t.Fatal(err)
			}
			target.Virtual = &dev
			if reason := OutOfScope(&tc.scope, "token", target); (reason == "") != tc.want {
				t.Errorf("refused with %q, want allowed %t", reason, tc.want)
			}
		})
	}
}

func TestScopeIsNotEscaped(t *testing.T) {
	readOnly := accesstoken.Scope{ReadOnly: true}
	spaces := accesstoken.Scope{Spaces: []string{"team-a"}}
	virtual := accesstoken.Scope{VirtualClusters: []accesstoken.VirtualClusterRef{{Space: "team-a", Name: "dev"}}}
	const api = "/kubernetes/cluster/api/v1"
	for _, tc := range []struct {
		name, method, path string
		upgrade            bool
		scope              accesstoken.Scope
		want               bool
	}{
		{"no scope", "DELETE", api + "/nodes/n", false, accesstoken.Scope{}, true},
		{"read-only gets", "GET", api + "/pods", false, readOnly, true},
		{"read-only watches", "GET", api + "/pods?watch=1", false, readOnly, true},
		{"read-only discovers", "GET", "/kubernetes/cluster/openapi/v3", false, readOnly, true},
		{"read-only asks about itself", "POST", "/kubernetes/cluster/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", false, readOnly, true},
		{"read-only does not create", "POST", api + "/namespaces/a/pods", false, readOnly, false},
		{"read-only does not delete", "DELETE", api + "/namespaces/a/pods/p", false, readOnly, false},
		{"read-only does not exec by GET", "GET", api + "/namespaces/a/pods/p/exec", true, readOnly, false},
		{"read-only does not reach behind a proxy by GET", "GET", api + "/namespaces/a/services/s/proxy/x", false, readOnly, false},
		{"read-only does not mint tokens", "POST", api + "/namespaces/a/serviceaccounts/s/token", false, readOnly, false},
		{"space, inside", "DELETE", api + "/namespaces/team-a/pods/p", false, spaces, true},
		{"space, the namespace itself", "GET", api + "/namespaces/team-a", false, spaces, true},
		{"space, discovery", "GET", "/kubernetes/cluster/apis", false, spaces, true},
		{"space, another namespace", "GET", api + "/namespaces/team-b/pods", false, spaces, false},
		{"space, another namespace itself", "GET", api + "/namespaces/team-b", false, spaces, false},
		{"space, all namespaces at once", "GET", api + "/pods", false, spaces, false},
		{"space, the list of namespaces", "GET", api + "/namespaces", false, spaces, false},
		{"space, not its own deletion", "DELETE", api + "/namespaces/team-a", false, spaces, false},
		{"space, cluster-scoped", "GET", api + "/nodes", false, spaces, false},
		{"space, a POST outside of resources", "POST", "/kubernetes/cluster/metrics", false, spaces, false},
		{"virtual cluster, not the host", "GET", api + "/namespaces/team-a/pods", false, virtual, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRequest(t, tc.method, tc.path)
			if tc.upgrade {
				r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
			}
			target, err := Parse(r, At(testPrefix, nil), "")
			if err != nil {
				t.Fatal(err)
			}
			if reason := OutOfScope(&tc.scope, "token", target); (reason == "") != tc.want {
				t.Errorf("refused with %q, want allowed %t", reason, tc.want)
			}
		})
	}
}
