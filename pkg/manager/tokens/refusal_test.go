package tokens

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
)

// wantStatus holds what every refusal has: a code and a message for people.
func wantStatus(t *testing.T, err error, code int32, words string) {
	t.Helper()
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatalf("got %v, want a status", err)
	}
	if got := status.Status(); got.Code != code || !strings.Contains(got.Message, words) {
		t.Errorf("got %d %q, want %d with %q", got.Code, got.Message, code, words)
	}
}

func TestIssueRefuses(t *testing.T) {
	w := newWorld(t, nil)
	const noPermission = "does not exist, or you don't have permission"
	alice := "loft:user:alice"
	many := make([]string, maxScopeItems+1)
	for i := range many {
		many[i] = fmt.Sprintf("c-%d", i)
	}
	tests := []struct {
		name  string
		info  user.Info
		spec  managementv1.DirectClusterEndpointTokenSpec
		code  int32
		words string
	}{
		{"TokenForAClusterThatMayNotBeUsed", person(alice, "plain"), ask("asia"), http.StatusForbidden, `"asia" is forbidden: ` + noPermission},
		{"TokenForAClusterThatMayNotBeUsedBesideOneThatMay", person(alice, "plain"), ask("eu", "asia"), http.StatusForbidden, `"asia" is forbidden: ` + noPermission},
		{"SpaceInAClusterThatMayNotBeUsed", person(alice, "plain"), askSpaces(false, storagev1.AccessScopeSpace{Cluster: "asia", Space: "a"}), http.StatusForbidden, noPermission},
		{"ClusterThatDoesNotExistLooksTheSame", person(alice, "plain"), ask("gone"), http.StatusForbidden, `"gone" is forbidden: ` + noPermission},
		{"AdministratorsClusterThatDoesNotExist", person("loft:user:admin", ""), ask("nowhere"), http.StatusForbidden, noPermission},
		{"KeyForOneClusterUsedForAnother", person(alice, "eu-only"), ask("us"), http.StatusForbidden, noPermission},
		{"KeyForSpacesUsedForAnother", person(alice, "spaces"), askSpaces(false, storagev1.AccessScopeSpace{Cluster: "eu", Space: "x"}), http.StatusForbidden, "leaves nothing"},
		{"KeyForSpacesInSeveralClusters", person(alice, "spaces"), ask(), http.StatusUnprocessableEntity, "spec.scope"},
		{"SpacesInSeveralClusters", person(alice, "plain"), askSpaces(false, storagev1.AccessScopeSpace{Cluster: "eu", Space: "a"}, storagev1.AccessScopeSpace{Cluster: "us", Space: "a"}),
			http.StatusUnprocessableEntity, "ask for one with a single cluster"},
		{"SomebodyElsesKey", person(alice, "bobs"), ask("eu"), http.StatusForbidden, "somebody else's"},
		{"TeamsKeyUsedByAMember", person(alice, "team-key"), ask("eu"), http.StatusForbidden, "somebody else's"},
		{"DisabledKey", person(alice, "off"), ask("eu"), http.StatusForbidden, "disabled"},
		{"DeletedKey", person(alice, "gone"), ask("eu"), http.StatusForbidden, "gone"},
		{"DisabledUser", person("loft:user:eve", ""), ask(), http.StatusForbidden, "disabled"},
		{"DisabledTeam", person("loft:team:off", ""), ask(), http.StatusForbidden, "disabled"},
		{"UserWhoDoesNotExist", person("loft:user:ghost", ""), ask(), http.StatusForbidden, "users and teams"},
		{"TeamThatDoesNotExist", person("loft:team:ghost", ""), ask(), http.StatusForbidden, "users and teams"},
		{"ServiceAccount", person("system:serviceaccount:default:default", ""), ask(), http.StatusForbidden, "users and teams"},
		{"SystemMasters", &user.DefaultInfo{Name: "kubernetes-admin", Groups: []string{"system:masters"}}, ask(), http.StatusForbidden, "users and teams"},
		{"ClusterThatIsNotConnectedYet", person(alice, "plain"), ask("new"), http.StatusConflict, "Connected"},
		{"ClusterThatCallsItselfAnother", person("loft:user:admin", ""), ask("twin-a"), http.StatusConflict, "twin-b"},
		{"NegativeLifetime", person(alice, "plain"), managementv1.DirectClusterEndpointTokenSpec{TTL: -1}, http.StatusUnprocessableEntity, "spec.ttl"},
		{"LifetimeOfASecond", person(alice, "plain"), managementv1.DirectClusterEndpointTokenSpec{TTL: 1}, http.StatusUnprocessableEntity, "at least 60"},
		{"LifetimeOfAYear", person(alice, "plain"), managementv1.DirectClusterEndpointTokenSpec{TTL: 31536000}, http.StatusUnprocessableEntity, "at most 86400"},
		{"LifetimeThatOverflows", person(alice, "plain"), managementv1.DirectClusterEndpointTokenSpec{TTL: 1 << 62}, http.StatusUnprocessableEntity, "at most 86400"},
		{"EmptyClusterName", person(alice, "plain"), ask(""), http.StatusUnprocessableEntity, "spec.scope.clusters[0]"},
		{"EmptySpaceName", person(alice, "plain"), askSpaces(false, storagev1.AccessScopeSpace{Cluster: "eu"}), http.StatusUnprocessableEntity, "spec.scope.spaces[0]"},
		{"ThousandsOfQuestionsInOne", person(alice, "plain"), ask(many...), http.StatusUnprocessableEntity, "spec.scope.clusters"},
		{"PermissionThatCannotBeFoundOut", person("loft:user:unlucky", ""), ask("eu"), http.StatusServiceUnavailable, "at the moment"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, err := w.Issuer.Issue(t.Context(), tt.info, tt.spec)
			wantStatus(t, err, tt.code, tt.words)
			if status.Token != "" {
				t.Error("a refusal came with a token")
			}
		})
	}
}

func TestUnscopedTokensNeedThePolicy(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.AllowUnscoped = false })
	alice := "loft:user:alice"
	for name, info := range map[string]user.Info{"key": person(alice, "plain"), "key for reading": person(alice, "reader"), "no key": person(alice, "")} {
		t.Run(name, func(t *testing.T) {
			_, err := w.Issuer.Issue(t.Context(), info, managementv1.DirectClusterEndpointTokenSpec{})
			wantStatus(t, err, http.StatusForbidden, "spec.scope.clusters")
		})
	}
	w.verified(t, w.issue(t, person(alice, "eu-only"), ask()))
	w.verified(t, w.issue(t, person(alice, "plain"), ask("eu", "us")))
	if bundle, err := w.Bundles.Bundle(cluster("eu", "uid-eu")); err != nil || bundle.AllowAllClusters {
		t.Errorf("bundle %+v, error %v: lets tokens for all clusters in", bundle, err)
	}
}

func TestNoTokenWithoutARecordOfIt(t *testing.T) {
	w := newWorld(t, nil)
	w.full.Store(true)
	status, err := w.Issuer.Issue(t.Context(), person("loft:user:alice", "plain"), ask("eu"))
	wantStatus(t, err, http.StatusServiceUnavailable, "at the moment")
	if status.Token != "" {
		t.Error("a token that cannot be revoked was issued")
	}
	if strings.Contains(err.Error(), "etcd") {
		t.Errorf("the answer tells what is behind: %v", err)
	}
}

func TestTokenTooLargeForProxies(t *testing.T) {
	objects := people()
	for i := range 120 {
		objects = append(objects, &storagev1.Team{
			ObjectMeta: named(fmt.Sprintf("a-team-with-a-rather-long-name-%d", i)), Spec: storagev1.TeamSpec{Users: []string{"alice"}},
		})
	}
	w := newWorldOf(t, nil, objects...)
	_, err := w.Issuer.Issue(t.Context(), person("loft:user:alice", ""), ask("eu"))
	wantStatus(t, err, http.StatusBadRequest, "4096")
}
