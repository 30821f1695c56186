package central

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// question returns the body of a 2.x client's request.
func question(kind string) string {
	return `{"kind":"` + kind + `","apiVersion":"management.loft.sh/v1","metadata":{"creationTimestamp":null},"spec":{},"status":{}}`
}

// isKind checks code, kind and API version.
func isKind(t *testing.T, a answer, code int, kind string) {
	t.Helper()
	if err := a.wants(code); err != nil {
		t.Fatal(err)
	}
	same(t, "kind and version", [2]any{kind, "management.loft.sh/v1"}, [2]any{a.field("kind"), a.field("apiVersion")})
}

// names are those of the objects in a list.
func names(t *testing.T, list any, path ...string) []string {
	t.Helper()
	items, ok := list.([]any)
	if !ok {
		t.Fatalf("%v is no list", list)
	}
	var found []string
	for _, item := range items {
		name, _ := answer{object: item.(map[string]any)}.field(path...).(string)
		found = append(found, name)
	}
	slices.Sort(found)
	return found
}

// TestContract holds the manager to what a 2.x client asks of it, row by row.
func TestContract(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "carol", eu)
	ctx := t.Context()
	team := &storagev1.Team{
		ObjectMeta: metav1.ObjectMeta{Name: "crew"}, Spec: storagev1.TeamSpec{DisplayName: "Crew", Users: []string{"carol"}},
	}
	if _, err := shared.Storage().Teams().Create(ctx, team, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	after := context.WithoutCancel(ctx)
	t.Cleanup(func() { gone(t, shared.Storage().Teams().Delete(after, "crew", metav1.DeleteOptions{})) })
	teamKey, err := shared.AddKey(ctx, "crew", storagev1.AccessKeySpec{Team: "crew"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gone(t, shared.Storage().AccessKeys().Delete(after, "crew", metav1.DeleteOptions{})) })
	await(t, patience, "carol is in her team", func() error {
		return p.manager(http.MethodGet, management+"/teams/crew", "").wants(http.StatusOK)
	})
	for name, row := range map[string]func(*testing.T, person){
		"version": contractVersion, "health": contractHealth, "who am I": contractSelf, "users and teams": contractPeople,
		"log out": contractLogout, "clusters": contractClusters, "cluster that is not hers": contractForeign,
		"token": contractToken, "members": contractMembers, "bad key": contractBadKey,
	} {
		t.Run(name, func(t *testing.T) { row(t, p) })
	}
	t.Run("who am I, as a team", func(t *testing.T) {
		a := person{key: teamKey}.manager(http.MethodPost, management+"/selves", question("Self"))
		isKind(t, a, http.StatusCreated, "Self")
		same(t, "team", any(map[string]any{"name": "crew", "username": "crew", "displayName": "Crew"}), a.field("status", "team"))
		if a.field("status", "user") != nil {
			t.Errorf("a team's key is a user's: %s", a.body)
		}
	})
}

func contractVersion(t *testing.T, _ person) {
	a := send(shared.CAFile(), "", http.MethodGet, shared.URL()+"/version", "")
	if err := a.wants(http.StatusOK); err != nil {
		t.Fatal(err)
	}
	version, _ := a.field("version").(string)
	major, _ := a.field("major").(string)
	if !strings.HasPrefix(version, "v") || major == "" || major == "0" || major == "1" {
		t.Errorf("version %q, major %q; want 2 or more as a string", version, major)
	}
}

func contractHealth(t *testing.T, _ person) {
	a := send(shared.CAFile(), "", http.MethodHead, shared.URL()+"/healthz", "")
	if err := a.wants(http.StatusOK); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Headers": "*", "Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache, private",
		"Access-Control-Allow-Methods": "POST, GET, OPTIONS, PUT, DELETE, PATCH",
	} {
		same(t, name, want, a.header.Get(name))
	}
}

func contractSelf(t *testing.T, p person) {
	a := p.manager(http.MethodPost, management+"/selves", question("Self"))
	isKind(t, a, http.StatusCreated, "Self")
	same(t, "user", any(map[string]any{
		"name": "carol", "username": "carol", "email": "carol@example.com",
		"teams": []any{map[string]any{"name": "crew", "username": "crew", "displayName": "Crew"}},
	}), a.field("status", "user"))
	same(t, "access key", any("carol"), a.field("status", "accessKey"))
}

func contractPeople(t *testing.T, p person) {
	a := p.manager(http.MethodGet, management+"/users/carol", "")
	isKind(t, a, http.StatusOK, "User")
	same(t, "name", any("carol"), a.field("metadata", "name"))
	a = p.manager(http.MethodGet, management+"/teams/crew", "")
	isKind(t, a, http.StatusOK, "Team")
	same(t, "name", any("crew"), a.field("metadata", "name"))
}

// contractLogout makes a key as a login does, and deletes it as logging out does.
func contractLogout(t *testing.T, p person) {
	key, err := shared.AddKey(t.Context(), "carol-login", storagev1.AccessKeySpec{User: p.name, Type: "Login"})
	if err != nil {
		t.Fatal(err)
	}
	login := person{name: p.name, key: key}
	var self answer
	await(t, patience, "the manager knows the key", func() error {
		self = login.manager(http.MethodPost, management+"/selves", question("Self"))
		return self.wants(http.StatusCreated)
	})
	same(t, "key and type", [2]any{"carol-login", "Login"}, [2]any{self.field("status", "accessKey"), self.field("status", "accessKeyType")})
	if err := login.manager(http.MethodDelete, management+"/ownedaccesskeys/carol-login", "").wants(http.StatusOK); err != nil {
		t.Fatal(err)
	}
	await(t, promise, "the key is refused", func() error {
		return login.manager(http.MethodPost, management+"/selves", question("Self")).wants(http.StatusUnauthorized)
	})
}

func contractClusters(t *testing.T, p person) {
	a := p.manager(http.MethodGet, management+"/clusters/"+eu, "")
	isKind(t, a, http.StatusOK, "Cluster")
	annotations, err := shared.EndpointAnnotations(eu)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := a.field("metadata", "annotations").(map[string]any)
	for key, want := range annotations {
		same(t, key, any(want), got[key])
	}
	same(t, "name", any(eu), a.field("metadata", "name"))
	list := p.manager(http.MethodGet, management+"/clusters", "")
	isKind(t, list, http.StatusOK, "ClusterList")
	same(t, "her clusters", []string{eu}, names(t, list.field("items"), "metadata", "name"))
	same(t, "their display names", []string{"EU"}, names(t, list.field("items"), "spec", "displayName"))
}

// contractForeign: what exists and is not hers is refused as what does not exist.
func contractForeign(t *testing.T, p person) {
	var codes []int
	for _, name := range []string{us, "nowhere"} {
		a := p.manager(http.MethodGet, management+"/clusters/"+name, "")
		same(t, "kind", [2]any{"Status", "v1"}, [2]any{a.field("kind"), a.field("apiVersion")})
		if message, _ := a.field("message").(string); message == "" {
			t.Errorf("no message: %s", a.body)
		}
		codes = append(codes, a.code)
	}
	if codes[0] != codes[1] || codes[0] != http.StatusForbidden && codes[0] != http.StatusNotFound {
		t.Errorf("codes %v of a foreign cluster and of none, want one and the same refusal", codes)
	}
}

func contractToken(t *testing.T, p person) {
	a := p.manager(http.MethodPost, management+"/directclusterendpointtokens", question("DirectClusterEndpointToken"))
	isKind(t, a, http.StatusCreated, "DirectClusterEndpointToken")
	token, _ := a.field("status", "token").(string)
	if strings.Count(token, ".") != 2 {
		t.Fatalf("no token: %s", a.body)
	}
	await(t, patience, "the token opens the endpoint", func() error {
		return endpoint(eu, token, "/api/v1/namespaces").wants(http.StatusOK)
	})
}

func contractMembers(t *testing.T, p person) {
	a := p.manager(http.MethodGet, management+"/clusters/"+eu+"/memberaccess", "")
	isKind(t, a, http.StatusOK, "ClusterMemberAccess")
	if users := names(t, a.field("users"), "info", "name"); !slices.Contains(users, "carol") {
		t.Errorf("users %q, want carol among them", users)
	}
	a = p.manager(http.MethodGet, management+"/clusters/"+eu+"/virtualclusterdefaults", "")
	isKind(t, a, http.StatusOK, "ClusterVirtualClusterDefaults")
}

func contractBadKey(t *testing.T, _ person) {
	for name, key := range map[string]string{"none": "", "unknown": "AAAA", "long": strings.Repeat("A", 3000)} {
		a := person{key: key}.manager(http.MethodGet, management+"/clusters", "")
		if err := a.wants(http.StatusUnauthorized); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		same(t, name, [2]any{"Status", "Failure"}, [2]any{a.field("kind"), a.field("status")})
	}
}
