package tokens

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/user"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/accesstoken"
)

// ask makes a spec for whole clusters.
func ask(clusters ...string) managementv1.DirectClusterEndpointTokenSpec {
	scope := &storagev1.AccessScope{}
	for _, c := range clusters {
		scope.Clusters = append(scope.Clusters, storagev1.AccessScopeCluster{Cluster: c})
	}
	return managementv1.DirectClusterEndpointTokenSpec{Scope: scope}
}

func askSpaces(readOnly bool, spaces ...storagev1.AccessScopeSpace) managementv1.DirectClusterEndpointTokenSpec {
	return managementv1.DirectClusterEndpointTokenSpec{Scope: &storagev1.AccessScope{ReadOnly: readOnly, Spaces: spaces}}
}

func TestTokenSaysWhatItsOwnerMay(t *testing.T) {
	w := newWorld(t, nil)
	const all = accesstoken.AllClusters
	alice, allOf := accesstoken.PersonName("alice"), accesstoken.PersonGroups("alice", "blue", "devs")
	tests := []struct {
		name         string
		info         user.Info
		spec         managementv1.DirectClusterEndpointTokenSpec
		wantAudience string
		wantScope    *accesstoken.Scope
		wantGroups   []string
	}{
		{"empty spec", person(alice, "plain"), ask(), all, nil, allOf},
		{"one cluster", person(alice, "plain"), ask("eu"), "uid-eu", nil, allOf},
		{"several clusters", person(alice, "plain"), ask("us", "eu"), all, &accesstoken.Scope{Clusters: []string{"uid-eu", "uid-us"}}, allOf},
		{"one cluster twice", person(alice, "plain"), ask("eu", "eu"), "uid-eu", nil, allOf},
		{"spaces", person(alice, "plain"), askSpaces(true, storagev1.AccessScopeSpace{Cluster: "eu", Space: "b"}, storagev1.AccessScopeSpace{Cluster: "eu", Space: "a"}),
			"uid-eu", &accesstoken.Scope{ReadOnly: true, Spaces: []string{"a", "b"}}, allOf},
		{"without a key", person(alice, ""), ask("eu"), "uid-eu", nil, allOf},
		{"key for one cluster", person(alice, "eu-only"), ask(), "uid-eu", nil, allOf},
		{"key for clusters of which some may not be used", person(alice, "both"), ask(), all, &accesstoken.Scope{Clusters: []string{"uid-eu", "uid-us"}}, allOf},
		{"key for reading", person(alice, "reader"), ask(), all, &accesstoken.Scope{ReadOnly: true}, allOf},
		{"key for spaces, one cluster", person(alice, "spaces"), ask("eu"), "uid-eu", &accesstoken.Scope{Spaces: []string{"a", "b"}}, allOf},
		{"key for spaces, one of them and another", person(alice, "spaces"),
			askSpaces(false, storagev1.AccessScopeSpace{Cluster: "eu", Space: "b"}, storagev1.AccessScopeSpace{Cluster: "eu", Space: "x"}),
			"uid-eu", &accesstoken.Scope{Spaces: []string{"b"}}, allOf},
		{"team", person("loft:team:blue", "team-key"), ask("eu"), "uid-eu", nil, accesstoken.TeamGroups("blue")},
		{"administrator, a cluster by RBAC", person("loft:user:admin", ""), ask("asia"), "uid-asia", nil, accesstoken.PersonGroups("admin")},
		{"groups of the request count for nothing", &user.DefaultInfo{Name: alice, Groups: []string{"loft:team:off", "system:masters"}}, ask("eu"), "uid-eu", nil, allOf},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims := claimsOf(t, w.issue(t, tt.info, tt.spec))
			if diff := cmp.Diff(jwt.Audience{tt.wantAudience}, claims.Audience); diff != "" {
				t.Errorf("audience: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tt.wantScope, claims.Scope); diff != "" {
				t.Errorf("scope: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tt.wantGroups, claims.Groups); diff != "" {
				t.Errorf("groups: -want +got:\n%s", diff)
			}
			wantKey := ""
			if keys := tt.info.GetExtra()["loft.sh/access-key"]; keys != nil {
				wantKey = keys[0]
			}
			if claims.AccessKey != wantKey || claims.Subject != tt.info.GetName() || claims.UID == "" || claims.Issuer != testIssuer {
				t.Errorf("access key %q, subject %q, UID %q, issuer %q", claims.AccessKey, claims.Subject, claims.UID, claims.Issuer)
			}
		})
	}
}

func TestLifetime(t *testing.T) {
	tests := []struct {
		name      string
		accessKey string
		ttl       int64
		longest   time.Duration
		want      time.Duration
	}{
		{"default", "plain", 0, 24 * time.Hour, 24 * time.Hour},
		{"asked for", "plain", 60, 24 * time.Hour, time.Minute},
		{"no longer than the manager allows", "plain", 0, time.Hour, time.Hour},
		{"longer, where it is allowed", "plain", 172800, 72 * time.Hour, 48 * time.Hour},
		{"no longer than the key lives", "short", 0, 24 * time.Hour, time.Hour},
		{"no longer than the key lives unused", "idle", 0, 24 * time.Hour, 2 * time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(o *Options) { o.MaxLifetime = tt.longest })
			info := person("loft:user:alice", tt.accessKey)
			now := w.clock.Now()
			status, err := w.Issuer.Issue(t.Context(), info, managementv1.DirectClusterEndpointTokenSpec{TTL: tt.ttl})
			if err != nil {
				t.Fatal(err)
			}
			claims := claimsOf(t, status.Token)
			from := now
			if tt.accessKey == "short" {
				from = testNow
			}
			if got := claims.Expiry.Time().Sub(from); got < tt.want-time.Second || got > tt.want {
				t.Errorf("lives for %s, want %s", got, tt.want)
			}
			if !status.ExpirationTimestamp.Time.Equal(claims.Expiry.Time()) {
				t.Errorf("expirationTimestamp %s, exp %s", status.ExpirationTimestamp, claims.Expiry.Time())
			}
		})
	}
}
