package management

import (
	"net/http"
	"os"
	"strings"
	"testing"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

func TestFrontProxyHeadersMeanNothingOutside(t *testing.T) {
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, env.url+api+"/clusters", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Remote-User", "loft:user:admin")
	request.Header.Set("X-Remote-Group", "system:masters")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("code %d, want 401", response.StatusCode)
	}
}

func TestImpersonationNeedsPermission(t *testing.T) {
	out, err := kubectl(t, "alice", "get", "clusters", "--as=loft:user:admin")
	if err == nil || !strings.Contains(out, "Forbidden") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestPathTricks(t *testing.T) {
	for _, path := range []string{
		"/kubernetes/management/apis/management.loft.sh/v1/selves/../clusters",
		"/kubernetes/management/apis/management.loft.sh/v1//clusters",
		"/kubernetes/management/apis/management.loft.sh/v1/clusters%2Fx",
		"/kubernetes/management/apis/management.loft.sh/v1/%2e%2e/v1/clusters",
		"/kubernetes/m%61nagement/apis/management.loft.sh/v1/clusters",
	} {
		if a := ask(t, env.keys["admin"], http.MethodGet, path, ""); a.code != http.StatusBadRequest || a.at("kind") != "Status" {
			t.Errorf("%s: code %d, want 400: %s", path, a.code, a.raw)
		}
	}
}

func TestKeysCannotBeMadeForOthers(t *testing.T) {
	for name, tt := range map[string]struct {
		body string
		want int
	}{
		"another user":    {`{"user":"admin"}`, 403},
		"a team":          {`{"team":"admins"}`, 403},
		"a chosen secret": {`{"key":"hunter2"}`, 422},
	} {
		a := ask(t, env.keys["alice"], http.MethodPost, api+"/ownedaccesskeys", empty("OwnedAccessKey", tt.body))
		if a.code != tt.want {
			t.Errorf("%s: code %d, want %d: %s", name, a.code, tt.want, a.raw)
		}
	}
	// Nor by way of apply, which makes what is not there.
	out, err := kubectl(t, "alice", "apply", "--server-side", "-f", write(t,
		`{apiVersion: management.loft.sh/v1, kind: OwnedAccessKey, metadata: {name: mine}, spec: {user: admin, key: "sha256:`+strings.Repeat("0", 64)+`"}}`))
	if err == nil || !strings.Contains(out, "forbidden") && !strings.Contains(out, "Forbidden") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestOthersKeysAreNotShown(t *testing.T) {
	if got := names(t, env.keys["alice"], "ownedaccesskeys"); strings.Contains(got, "admin") || !strings.Contains(got, "alice") {
		t.Errorf("alice sees keys %q", got)
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if a := ask(t, env.keys["alice"], method, api+"/ownedaccesskeys/admin-first", ""); a.code != http.StatusForbidden {
			t.Errorf("%s: code %d, want 403: %s", method, a.code, a.raw)
		}
	}
}

// An owner cannot take back what an administrator did to a key, or give it more.
func TestAKeyCannotBeWidened(t *testing.T) {
	created := ask(t, env.keys["bob"], http.MethodPost, api+"/ownedaccesskeys",
		empty("OwnedAccessKey", `{"disabled":true,"ttl":60,"scope":{"readOnly":true}}`))
	path := api + "/ownedaccesskeys/" + created.at("metadata.name")
	defer ask(t, env.keys["bob"], http.MethodDelete, path, "")
	for _, patch := range []string{`{"disabled":false}`, `{"ttl":0}`, `{"scope":null}`, `{"user":"admin"}`, `{"type":"Login"}`, `{"key":"x"}`} {
		out, err := kubectl(t, "bob", "patch", "ownedaccesskeys", created.at("metadata.name"), "--type=merge", "-p", `{"spec":`+patch+`}`)
		if err == nil {
			t.Errorf("%s was taken: %s", patch, out)
		}
	}
	mustKubectl(t, "bob", "patch", "ownedaccesskeys", created.at("metadata.name"), "--type=merge", "-p", `{"spec":{"displayName":"old laptop"}}`)
}

func TestANarrowedKeyChangesNothing(t *testing.T) {
	key := addKey(t, storagev1.AccessKeySpec{User: "admin", Scope: &storagev1.AccessScope{Clusters: []storagev1.AccessScopeCluster{{Cluster: "narrow-1"}}}})
	addCluster(t, "narrow-1", nil)
	addCluster(t, "narrow-2", nil)
	await(t, "the key sees its cluster", func() bool { return names(t, key, "clusters") == "narrow-1" })
	if a := ask(t, key, http.MethodPost, api+"/ownedaccesskeys", empty("OwnedAccessKey", "{}")); a.code != http.StatusForbidden {
		t.Errorf("made a key without a scope: code %d", a.code)
	}
	if a := ask(t, key, http.MethodDelete, api+"/clusters/narrow-1", ""); a.code != http.StatusForbidden {
		t.Errorf("deleted a cluster: code %d", a.code)
	}
	if a := ask(t, key, http.MethodPost, api+"/selves", empty("Self", "{}")); a.code != http.StatusCreated {
		t.Errorf("may not ask who it is: code %d", a.code)
	}
}

// The test's audit policy records everything that it may.
func TestAuditRecordsHoldNoSecrets(t *testing.T) {
	created := ask(t, env.keys["alice"], http.MethodPost, api+"/ownedaccesskeys", empty("OwnedAccessKey", "{}"))
	token := ask(t, env.keys["alice"], http.MethodPost, api+"/directclusterendpointtokens", empty("DirectClusterEndpointToken", "{}"))
	ask(t, "wrong-key-of-somebody", http.MethodGet, api+"/clusters", "")
	ask(t, env.keys["alice"], http.MethodPost, api+"/ownedaccesskeys", empty("OwnedAccessKey", `{"key":"chosen-by-somebody"}`))
	ask(t, env.keys["alice"], http.MethodDelete, api+"/ownedaccesskeys/"+created.at("metadata.name"), "")
	records, err := os.ReadFile(env.auditLog)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"requestObject"`, `"responseObject"`, `"ownedaccesskeys"`, `"directclusterendpointtokens"`, `"code":401`} {
		if !strings.Contains(string(records), want) {
			t.Errorf("the records lack %s, so they show nothing", want)
		}
	}
	secrets := []string{created.at("spec.key"), token.at("status.token"), env.keys["alice"], env.keys["admin"], "wrong-key-of-somebody", "chosen-by-somebody"}
	for _, secret := range secrets {
		if secret == "" || strings.Contains(string(records), secret) {
			t.Errorf("a secret is recorded, or there is none: %.4s…", secret)
		}
	}
}

// Others of the same address are not locked out, and whoever stops may try again.
func TestFailuresAreLimited(t *testing.T) {
	codes := map[int]int{}
	for range 20 {
		codes[ask(t, "guess", http.MethodGet, api+"/clusters", "").code]++
	}
	if codes[http.StatusTooManyRequests] == 0 || codes[http.StatusUnauthorized] > 10 {
		t.Errorf("codes %v", codes)
	}
	limited := ask(t, "guess", http.MethodGet, api+"/clusters", "")
	if limited.code == http.StatusTooManyRequests && limited.header.Get("Retry-After") == "" {
		t.Error("429 does not say when to come back")
	}
	if a := ask(t, env.keys["alice"], http.MethodGet, api+"/clusters", ""); a.code != http.StatusOK {
		t.Errorf("code %d for a good key", a.code)
	}
	await(t, "attempts are taken again", func() bool {
		return ask(t, "", http.MethodGet, api+"/clusters", "").code == http.StatusUnauthorized &&
			ask(t, "guess", http.MethodGet, api+"/clusters", "").code == http.StatusUnauthorized
	})
}
