package access

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/generated/clientset/versioned/fake"
	"loft.sh/agent/generated/informers/externalversions"
)

// newDirectory returns a directory of objects, without a server behind.
func newDirectory(t *testing.T, objects ...any) *Directory {
	t.Helper()
	informers := externalversions.NewSharedInformerFactory(fake.NewClientset(), 0).Storage().V1()
	d, err := NewDirectory(informers)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		switch o := o.(type) {
		case *storagev1.User:
			err = informers.Users().Informer().GetIndexer().Add(o)
		case *storagev1.Team:
			err = informers.Teams().Informer().GetIndexer().Add(o)
		case *storagev1.AccessKey:
			err = informers.AccessKeys().Informer().GetIndexer().Add(o)
		case *storagev1.ClusterAccess:
			err = informers.ClusterAccesses().Informer().GetIndexer().Add(o)
		default:
			t.Fatalf("unexpected %T", o)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

func person(name string, keys ...string) user.Info {
	info := &user.DefaultInfo{Name: name}
	if len(keys) > 0 {
		info.Extra = map[string][]string{ExtraAccessKey: keys}
	}
	return info
}

// administrator is whom the fake central cluster allows everything.
const administrator = "loft:user:admin"

func allowAdministrator(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	switch a.GetUser().GetName() {
	case administrator:
		return authorizer.DecisionAllow, "", nil
	case "loft:user:unlucky":
		return authorizer.DecisionNoOpinion, "", errors.New("no answer")
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func world(t *testing.T) *Policy {
	scoped := func(name string, scope storagev1.AccessScope) *storagev1.AccessKey {
		return &storagev1.AccessKey{ObjectMeta: named(name), Spec: storagev1.AccessKeySpec{Scope: &scope}}
	}
	return &Policy{Authorizer: authorizer.AuthorizerFunc(allowAdministrator), Directory: newDirectory(t,
		&storagev1.User{ObjectMeta: named("alice"), Spec: storagev1.UserSpec{Groups: []string{"dev"}, Subject: "alice@example.com"}},
		&storagev1.User{ObjectMeta: named("bob")},
		&storagev1.User{ObjectMeta: named("admin")},
		&storagev1.User{ObjectMeta: named("eve"), Spec: storagev1.UserSpec{Disabled: true, Groups: []string{"dev"}}},
		&storagev1.User{ObjectMeta: named("twin-a"), Spec: storagev1.UserSpec{Subject: "twin"}},
		&storagev1.User{ObjectMeta: named("twin-b"), Spec: storagev1.UserSpec{Subject: "twin"}},
		&storagev1.Team{ObjectMeta: named("core"), Spec: storagev1.TeamSpec{Groups: []string{"dev"}}},
		&storagev1.Team{ObjectMeta: named("ops"), Spec: storagev1.TeamSpec{Users: []string{"alice"}, Disabled: true}},
		&storagev1.Team{ObjectMeta: named("all-hands"), Spec: storagev1.TeamSpec{Users: []string{"alice", "bob"}}},
		&storagev1.ClusterAccess{ObjectMeta: named("core-eu"), Spec: storagev1.ClusterAccessSpec{Clusters: []string{"eu"}, Teams: []string{"core"}}},
		&storagev1.ClusterAccess{ObjectMeta: named("ops-us"), Spec: storagev1.ClusterAccessSpec{Clusters: []string{"us"}, Teams: []string{"ops"}}},
		&storagev1.ClusterAccess{ObjectMeta: named("alice-asia"), Spec: storagev1.ClusterAccessSpec{Clusters: []string{"asia"}, Users: []string{"alice", "ghost"}}},
		&storagev1.ClusterAccess{ObjectMeta: named("users-lab"), Spec: storagev1.ClusterAccessSpec{Clusters: []string{"lab"}, Users: []string{"*"}}},
		&storagev1.AccessKey{ObjectMeta: named("plain")},
		&storagev1.AccessKey{ObjectMeta: named("off"), Spec: storagev1.AccessKeySpec{Disabled: true}},
		scoped("eu-only", storagev1.AccessScope{Clusters: []storagev1.AccessScopeCluster{{Cluster: "eu"}}}),
		scoped("lab-space", storagev1.AccessScope{Spaces: []storagev1.AccessScopeSpace{{Cluster: "lab", Space: "a"}}}),
		scoped("reader", storagev1.AccessScope{ReadOnly: true}),
	)}
}

func TestClusters(t *testing.T) {
	tests := []struct {
		name string
		info user.Info
		want []string
	}{
		{"by team's group, by name and by everybody", person("loft:user:alice"), []string{"asia", "eu", "lab"}},
		{"everybody", person("loft:user:bob"), []string{"lab"}},
		{"disabled", person("loft:user:eve"), nil},
		{"team's key", person("loft:team:core"), []string{"eu"}},
		{"disabled team's key", person("loft:team:ops"), nil},
		{"stranger", person("system:serviceaccount:default:default"), nil},
		{"administrator", person(administrator), []string{"asia", "eu", "lab", "us"}},
		{"groups of a user.Info give nothing", &user.DefaultInfo{Name: "mallory", Groups: []string{"loft:team:core", "loft:user:alice"}}, nil},
		{"key", person("loft:user:alice", "plain"), []string{"asia", "eu", "lab"}},
		{"key that is gone", person("loft:user:alice", "gone"), nil},
		{"disabled key", person("loft:user:alice", "off"), nil},
		{"key for one cluster", person("loft:user:alice", "eu-only"), []string{"eu"}},
		{"administrator's key for one cluster", person(administrator, "eu-only"), []string{"eu"}},
		{"key for a space", person("loft:user:alice", "lab-space"), []string{"lab"}},
		{"key for reading", person("loft:user:alice", "reader"), []string{"asia", "eu", "lab"}},
		{"administrator's key that is gone", person(administrator, "gone"), nil},
		{"key whose owner is gone", person("loft:user:ghost", "plain"), nil},
		{"team's key whose team is gone", person("loft:team:ghost", "plain"), nil},
	}
	policy := world(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := policy.Clusters(t.Context(), tt.info)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, cluster := range []string{"asia", "eu", "lab", "us"} {
				may, err := policy.MayUseCluster(t.Context(), tt.info, cluster)
				if err != nil {
					t.Fatal(err)
				}
				if may {
					got = append(got, cluster)
				}
				if may != set.Has(cluster) {
					t.Errorf("cluster %q: is in the list %t, may be used %t", cluster, set.Has(cluster), may)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestUnansweredIsNoYes(t *testing.T) {
	policy := world(t)
	if set, err := policy.Clusters(t.Context(), person("loft:user:unlucky")); err == nil || set.Has("eu") {
		t.Errorf("got eu %t and error %v, want an error", set.Has("eu"), err)
	}
	if may, err := policy.MayUseCluster(t.Context(), person("loft:user:unlucky"), "eu"); err == nil || may {
		t.Errorf("got %t and error %v, want an error", may, err)
	}
}

func TestUsersAndTeams(t *testing.T) {
	tests := []struct {
		name         string
		info         user.Info
		users, teams []string
	}{
		{"own", person("loft:user:alice"), []string{"alice"}, []string{"all-hands", "core"}},
		{"administrator", person(administrator), []string{"alice", "bob"}, []string{"all-hands", "core", "ops"}},
		{"administrator's key that was narrowed", person(administrator, "reader"), nil, nil},
		{"team's key", person("loft:team:core"), nil, []string{"core"}},
		{"key that is gone", person("loft:user:alice", "gone"), nil, nil},
	}
	policy := world(t)
	among := func(set Set, names ...string) []string {
		return slices.DeleteFunc(names, func(name string) bool { return !set.Has(name) })
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			users, err := policy.Users(t.Context(), tt.info)
			if err != nil {
				t.Fatal(err)
			}
			teams, err := policy.Teams(t.Context(), tt.info)
			if err != nil {
				t.Fatal(err)
			}
			if got := among(users, "alice", "bob"); !slices.Equal(got, tt.users) {
				t.Errorf("users: got %q, want %q", got, tt.users)
			}
			if got := among(teams, "all-hands", "core", "ops"); !slices.Equal(got, tt.teams) {
				t.Errorf("teams: got %q, want %q", got, tt.teams)
			}
		})
	}
}

func TestMembers(t *testing.T) {
	tests := []struct {
		cluster      string
		users, teams []string
	}{
		{"eu", nil, []string{"core"}},
		{"us", nil, nil},
		{"asia", []string{"alice"}, nil},
		{"lab", []string{"admin", "alice", "bob", "twin-a", "twin-b"}, nil},
	}
	policy := world(t)
	for _, tt := range tests {
		t.Run(tt.cluster, func(t *testing.T) {
			var users, teams []string
			foundUsers, foundTeams := policy.Members(tt.cluster)
			for _, u := range foundUsers {
				users = append(users, u.Name)
			}
			for _, team := range foundTeams {
				teams = append(teams, team.Name)
			}
			if !slices.Equal(users, tt.users) || !slices.Equal(teams, tt.teams) {
				t.Errorf("got users %q and teams %q, want %q and %q", users, teams, tt.users, tt.teams)
			}
		})
	}
}

func TestMembershipsAreThoseOfEachUser(t *testing.T) {
	policy := world(t)
	memberships := policy.Memberships()
	for _, name := range []string{"alice", "bob", "eve", "twin-a"} {
		u, err := policy.User(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(policy.TeamsOf(u), memberships.Of(u), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: -TeamsOf +Memberships:\n%s", name, diff)
		}
	}
}

func TestBySubject(t *testing.T) {
	policy := world(t)
	if u, err := policy.BySubject("alice@example.com"); err != nil || u.Name != "alice" {
		t.Errorf("got %v, %v; want alice", u, err)
	}
	for _, subject := range []string{"", "twin", "nobody", "loft:user:alice"} {
		if u, err := policy.BySubject(subject); err == nil {
			t.Errorf("subject %q: got user %q, want an error", subject, u.Name)
		}
	}
}

func TestScoped(t *testing.T) {
	all := authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionAllow, "", nil
	})
	tests := []struct {
		name           string
		info           user.Info
		verb, resource string
		want           authorizer.Decision
	}{
		{"no key", person("loft:user:alice"), "create", "ownedaccesskeys", authorizer.DecisionAllow},
		{"key", person("loft:user:alice", "plain"), "create", "ownedaccesskeys", authorizer.DecisionAllow},
		{"narrowed key reads", person("loft:user:alice", "reader"), "list", "clusters", authorizer.DecisionAllow},
		{"narrowed key asks for a token", person("loft:user:alice", "reader"), "create", "directclusterendpointtokens", authorizer.DecisionAllow},
		{"narrowed key makes a wide one", person("loft:user:alice", "eu-only"), "create", "ownedaccesskeys", authorizer.DecisionDeny},
		{"narrowed key of an administrator writes", person(administrator, "eu-only"), "update", "clusters", authorizer.DecisionDeny},
		{"key that is gone", person(administrator, "gone"), "get", "clusters", authorizer.DecisionDeny},
		{"disabled user", person("loft:user:eve"), "get", "clusters", authorizer.DecisionDeny},
	}
	scoped := world(t).Scoped(all)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := scoped.Authorize(t.Context(), authorizer.AttributesRecord{
				User: tt.info, Verb: tt.verb, APIGroup: "management.loft.sh", Resource: tt.resource, ResourceRequest: true,
			})
			if err != nil || got != tt.want {
				t.Errorf("got %v (%v), want %v", got, err, tt.want)
			}
		})
	}
}

// Who was in a team when a watch began is asked about later with the groups of that time.
func TestATeamThatWasLeftGivesNothing(t *testing.T) {
	policy := world(t)
	policy.Authorizer = authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		if slices.Contains(a.GetUser().GetGroups(), "loft:team:admins") {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionNoOpinion, "", nil
	})
	left := &user.DefaultInfo{Name: "loft:user:bob", Groups: []string{"loft:user:bob", "loft:team:admins", "loft:team:all-hands"}}
	set, err := policy.Clusters(t.Context(), left)
	if err != nil || set.Everything() || !set.Has("lab") {
		t.Errorf("sees everything: %t, %v", set.Everything(), err)
	}
	if may, err := policy.MayUseCluster(t.Context(), left, "us"); err != nil || may {
		t.Errorf("may use a cluster by a team that was left: %t, %v", may, err)
	}
}
