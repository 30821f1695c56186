package management

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// empty is what a 2.x client puts around what it asks.
func empty(kind, spec string) string {
	return fmt.Sprintf(`{"kind":%q,"apiVersion":"management.loft.sh/v1","metadata":{"creationTimestamp":null},"spec":%s,"status":{}}`, kind, spec)
}

// TestContract asks what a 2.x client asks, as it asks it. Tasks and what is in clusters are left out.
func TestContract(t *testing.T) {
	addCluster(t, "contract", map[string]string{storagev1.AnnotationDirectEndpoint: "eu.example.com"})
	addAccess(t, "contract", storagev1.ClusterAccessSpec{Clusters: []string{"contract"}, Users: []string{"alice"}, Teams: []string{"contract-team"}})
	addTeam(t, "contract-team", "alice")
	alice := env.keys["alice"]
	await(t, "alice is in the team", func() bool {
		return strings.Contains(ask(t, alice, http.MethodPost, api+"/selves", empty("Self", "{}")).raw, "contract-team")
	})

	tests := []struct {
		name, method, path, body string
		want                     int
		fields                   map[string]string
	}{
		{"version", http.MethodGet, "/version", "", 200, map[string]string{"major": "3", "version": "*"}},
		{"health", http.MethodGet, "/healthz", "", 200, nil},
		{"who am I", http.MethodPost, api + "/selves", empty("Self", "{}"), 201, map[string]string{
			"kind": "Self", "status.user.name": "alice", "status.user.displayName": "The alice", "status.user.username": "alice",
			"status.user.email": "alice@example.com", "status.user.teams.0.name": "contract-team", "status.accessKey": "alice", "status.accessKeyType": "Login",
			"metadata.managedFields": "",
		}},
		{"my user", http.MethodGet, api + "/users/alice", "", 200, map[string]string{"kind": "User", "metadata.name": "alice", "status.teams.0.name": "contract-team"}},
		{"my team", http.MethodGet, api + "/teams/contract-team", "", 200, map[string]string{"kind": "Team", "metadata.name": "contract-team"}},
		{"a cluster", http.MethodGet, api + "/clusters/contract", "", 200, map[string]string{
			"kind": "Cluster", "metadata.name": "contract", "spec.displayName": "The contract",
		}},
		{"another's cluster", http.MethodGet, api + "/clusters/elsewhere", "", 403, map[string]string{"kind": "Status", "reason": "Forbidden", "message": "*"}},
		{"clusters", http.MethodGet, api + "/clusters", "", 200, map[string]string{
			"kind": "ClusterList", "items.0.metadata.name": "contract", "items.0.spec.displayName": "The contract", "items.1": "",
		}},
		{"token", http.MethodPost, api + "/directclusterendpointtokens", empty("DirectClusterEndpointToken", "{}"), 201, map[string]string{
			"kind": "DirectClusterEndpointToken", "status.token": "*", "status.expirationTimestamp": "*",
		}},
		{"a short token", http.MethodPost, api + "/directclusterendpointtokens", empty("DirectClusterEndpointToken", `{"ttl":60}`), 201, map[string]string{
			"spec.ttl": "60", "status.token": "*",
		}},
		{"members", http.MethodGet, api + "/clusters/contract/memberaccess", "", 200, map[string]string{
			"kind": "ClusterMemberAccess", "users.0.info.name": "alice", "teams.0.info.name": "contract-team",
		}},
		{"another's members", http.MethodGet, api + "/clusters/elsewhere/memberaccess", "", 403, map[string]string{"kind": "Status"}},
		{"defaults", http.MethodGet, api + "/clusters/contract/virtualclusterdefaults", "", 200, map[string]string{"kind": "ClusterVirtualClusterDefaults"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := ask(t, alice, tt.method, tt.path, tt.body)
			if a.code != tt.want {
				t.Fatalf("code %d, want %d: %s", a.code, tt.want, a.raw)
			}
			if strings.HasPrefix(tt.path, api) && a.code < 300 && a.at("apiVersion") != "management.loft.sh/v1" {
				t.Errorf("apiVersion = %q", a.at("apiVersion"))
			}
			for path, want := range tt.fields {
				if got := a.at(path); got != want && (want != "*" || got == "") {
					t.Errorf("%s = %q, want %q: %s", path, got, want, a.raw)
				}
			}
		})
	}
}

// TestLogOut deletes the key that it is done with.
func TestLogOut(t *testing.T) {
	created := ask(t, env.keys["bob"], http.MethodPost, api+"/ownedaccesskeys",
		`{"kind":"OwnedAccessKey","apiVersion":"management.loft.sh/v1","metadata":{"creationTimestamp":null},"spec":{"type":"Login","displayName":"laptop"}}`)
	if created.code != http.StatusCreated || created.at("spec.user") != "bob" {
		t.Fatalf("code %d: %s", created.code, created.raw)
	}
	key, name := created.at("spec.key"), created.at("metadata.name")
	if self := ask(t, key, http.MethodPost, api+"/selves", empty("Self", "{}")); self.at("status.accessKey") != name || self.at("status.accessKeyType") != "Login" {
		t.Fatalf("code %d: %s", self.code, self.raw)
	}
	if got := ask(t, key, http.MethodGet, api+"/ownedaccesskeys/"+name, ""); got.code != http.StatusOK || got.at("spec.key") != "" {
		t.Errorf("the key shows again: code %d, %s", got.code, got.raw)
	}
	stored, err := env.storage.StorageV1().AccessKeys().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil || strings.Contains(stored.Spec.Key, key) {
		t.Errorf("stored as %q: %v", stored.Spec.Key, err)
	}
	if deleted := ask(t, key, http.MethodDelete, api+"/ownedaccesskeys/"+name, ""); deleted.code != http.StatusOK {
		t.Fatalf("code %d: %s", deleted.code, deleted.raw)
	}
	await(t, "the key is refused", func() bool {
		return ask(t, key, http.MethodPost, api+"/selves", empty("Self", "{}")).code == http.StatusUnauthorized
	})
}

// TestBrowsers may read the answers, as the 2.x docs show with curl.
func TestBrowsers(t *testing.T) {
	a := ask(t, "", http.MethodHead, "/healthz", "")
	for name, want := range map[string]string{
		"Access-Control-Allow-Headers": "*", "Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache, private",
		"Access-Control-Allow-Methods": "POST, GET, OPTIONS, PUT, DELETE, PATCH",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestOtherPathsHint(t *testing.T) {
	a := ask(t, env.keys["alice"], http.MethodGet, "/api/v1/namespaces", "")
	if a.code != http.StatusNotFound || a.at("kind") != "Status" || !strings.Contains(a.at("message"), "/kubernetes/management/") {
		t.Errorf("code %d: %s", a.code, a.raw)
	}
}

// TestATeamsKey stands for the team.
func TestATeamsKey(t *testing.T) {
	addTeam(t, "robots")
	key := addKey(t, storagev1.AccessKeySpec{Team: "robots"})
	a := ask(t, key, http.MethodPost, api+"/selves", empty("Self", "{}"))
	if a.code != http.StatusCreated || a.at("status.team.name") != "robots" || a.at("status.user") != "" {
		t.Errorf("code %d: %s", a.code, a.raw)
	}
}

// TestTheCentralClustersOwnTokens let their bearer in as who the cluster says it is.
func TestTheCentralClustersOwnTokens(t *testing.T) {
	token, err := env.central.ServiceAccountToken(t.Context(), "loft", "loft-manager", 0)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "somebody without rights is refused", func() bool {
		return ask(t, token, http.MethodGet, api+"/clusters", "").code == http.StatusForbidden
	})
	addUserWith(t, "carla", storagev1.UserSpec{Subject: "system:serviceaccount:loft:loft-manager"})
	await(t, "the account is carla", func() bool {
		return ask(t, token, http.MethodPost, api+"/selves", empty("Self", "{}")).at("status.user.name") == "carla"
	})
}
