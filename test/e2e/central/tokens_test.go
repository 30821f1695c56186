package central

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// newTeam makes a team with an access key, which may do everything in clusters, until the test's end.
func newTeam(t *testing.T, name string, members []string, clusters ...string) person {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	team := &storagev1.Team{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: storagev1.TeamSpec{Users: members}}
	if _, err := shared.Storage().Teams().Create(ctx, team, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gone(t, shared.Storage().Teams().Delete(ctx, name, metav1.DeleteOptions{})) })
	key, err := shared.AddKey(ctx, name, storagev1.AccessKeySpec{Team: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gone(t, shared.Storage().AccessKeys().Delete(ctx, name, metav1.DeleteOptions{})) })
	access := &storagev1.ClusterAccess{
		ObjectMeta: metav1.ObjectMeta{Name: "team-" + name},
		Spec:       storagev1.ClusterAccessSpec{Clusters: clusters, Teams: []string{name}, ClusterRole: "cluster-admin"},
	}
	if _, err := shared.Storage().ClusterAccesses().Create(ctx, access, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gone(t, shared.Storage().ClusterAccesses().Delete(ctx, access.Name, metav1.DeleteOptions{})) })
	p := person{name: name, key: key}
	await(t, patience, "the manager knows "+name, func() error {
		return p.manager(http.MethodGet, "/kubernetes/management/version", "").wants(http.StatusOK)
	})
	return p
}

// works awaits that a token opens an endpoint, and refused that it does not any more, within the promise.
func works(t *testing.T, cluster, token string) {
	t.Helper()
	await(t, patience, "access to "+cluster, func() error { return endpoint(cluster, token, namespaces).wants(http.StatusOK) })
}

func tokenRefused(t *testing.T, cluster, token string) {
	t.Helper()
	took := await(t, promise, "token refused in "+cluster, func() error { return endpoint(cluster, token, namespaces).wants(http.StatusUnauthorized) })
	t.Logf("refused in %s after %s", cluster, took.Round(time.Millisecond))
}

// patch changes a custom resource's spec.
func patch[T any](t *testing.T, apply func(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (T, error), name, spec string) {
	t.Helper()
	if _, err := apply(t.Context(), name, types.MergePatchType, []byte(`{"spec":`+spec+`}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestTeamsKey: a team's own key opens its clusters, until the team is disabled.
func TestTeamsKey(t *testing.T) {
	t.Parallel()
	team := newTeam(t, "robots", nil, eu)
	token := team.token(t, eu)
	works(t, eu, token)
	patch(t, shared.Storage().Teams().Patch, team.name, `{"disabled":true}`)
	tokenRefused(t, eu, token)
}

// TestLeavingATeam: the token that names the team is refused, and a new one works with what is left.
func TestLeavingATeam(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "mover", us)
	newTeam(t, "movers", []string{"mover"}, eu)
	token := p.token(t)
	works(t, eu, token)
	works(t, us, token)
	patch(t, shared.Storage().Teams().Patch, "movers", `{"users":[]}`)
	tokenRefused(t, eu, token)
	tokenRefused(t, us, token)
	renewed := p.token(t)
	works(t, us, renewed)
	if err := endpoint(eu, renewed, namespaces).wants(http.StatusOK); err == nil {
		t.Error("the team's cluster is open to who left it")
	}
}

// TestDisabledPerson: what was revoked stays so when the person is enabled again.
func TestDisabledPerson(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "suspended", eu, us)
	token := p.token(t)
	works(t, eu, token)
	works(t, us, token)
	patch(t, shared.Storage().Users().Patch, p.name, `{"disabled":true}`)
	tokenRefused(t, eu, token)
	tokenRefused(t, us, token)
	patch(t, shared.Storage().Users().Patch, p.name, `{"disabled":false}`)
	await(t, patience, "the manager lets her in again", func() error {
		return p.manager(http.MethodGet, management+"/clusters", "").wants(http.StatusOK)
	})
	works(t, eu, p.token(t))
	if err := endpoint(eu, token, namespaces).wants(http.StatusUnauthorized); err != nil {
		t.Errorf("the old token is back: %v", err)
	}
}

// TestOneTokenRevoked: by its ID, and no other of the same key.
func TestOneTokenRevoked(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "careless", eu)
	lost, kept := p.token(t, eu), p.token(t, eu)
	works(t, eu, lost)
	client, err := kubernetes.NewForConfig(shared.Cluster().RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	data := []byte(`{"data":{"` + idOf(t, lost) + `":""}}`)
	if _, err := client.CoreV1().ConfigMaps("loft").Patch(t.Context(), "loft-manager-revoked-tokens", types.MergePatchType, data, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	tokenRefused(t, eu, lost)
	works(t, eu, kept)
}

// idOf is the ID of a token.
func idOf(t *testing.T, token string) string {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		ID string `json:"jti"`
	}
	if err := json.Unmarshal(data, &claims); err != nil {
		t.Fatal(err)
	}
	return claims.ID
}
