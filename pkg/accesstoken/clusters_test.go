package accesstoken

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
)

// namedClusters are alice's claims for some clusters.
func namedClusters(uids ...string) Claims {
	c := aliceClaims()
	c.Audience, c.Scope = jwt.Audience{AllClusters}, &Scope{Clusters: uids}
	return c
}

func TestTokenForNamedClustersIsGoodThereWhateverThePolicy(t *testing.T) {
	w := newWorld(t)
	token := sign(t, w.signer, namedClusters("other-cluster", testCluster))
	for _, allowAll := range []bool{false, true} {
		b := w.bundle()
		b.AllowAllClusters = allowAll
		w.verifier.SetBundle(b)
		id := mustVerify(t, w.verifier, token)
		if diff := cmp.Diff([]string{"other-cluster", testCluster}, id.Scope.Clusters); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTokenForNamedClustersReplayedAtAnother(t *testing.T) {
	w := newWorld(t)
	b := w.bundle()
	b.AllowAllClusters = true
	w.verifier.SetBundle(b)
	for _, uids := range [][]string{{"other-cluster"}, {"other-cluster", testCluster + "x"}, {testCluster[:5]}} {
		wantRefused(t, w.verifier, sign(t, w.signer, namedClusters(uids...)), ReasonWrongAudience)
	}
}

func TestTokenForNamedClustersEndsWhereTheClusterBecomesAnother(t *testing.T) {
	w := newWorld(t)
	token := sign(t, w.signer, namedClusters("other-cluster", testCluster))
	id := mustVerify(t, w.verifier, token)
	b := w.bundle()
	b.ClusterUID, b.AllowAllClusters = "third-cluster", true
	w.verifier.SetBundle(b)
	wantRefused(t, w.verifier, token, ReasonWrongAudience)
	wantReason(t, w.verifier.Valid(id), ReasonWrongAudience)
}

// wideningScopes are scopes that one reader could take for more than another does.
var wideningScopes = []struct {
	name     string
	audience string
	scope    map[string]any
}{
	{"NoClusterTakenForAll", AllClusters, map[string]any{"clusters": []string{}}},
	{"NullTakenForAll", AllClusters, map[string]any{"clusters": nil}},
	{"ClustersInCase", AllClusters, map[string]any{"Clusters": []string{testCluster}}},
	{"AllClustersAsCluster", AllClusters, map[string]any{"clusters": []string{AllClusters}}},
	{"EmptyCluster", AllClusters, map[string]any{"clusters": []string{""}}},
	{"BlankCluster", AllClusters, map[string]any{"clusters": []string{testCluster + " "}}},
	{"ClustersBesideAnAudience", testCluster, map[string]any{"clusters": []string{"other-cluster"}}},
	{"SpaceOfTheSameNameInAnotherCluster", AllClusters, map[string]any{"clusters": []string{testCluster, "other-cluster"}, "spaces": []string{"team-a"}}},
	{"SpaceOfEveryCluster", AllClusters, map[string]any{"spaces": []string{"team-a"}}},
	{"VirtualClusterOfEveryCluster", AllClusters, map[string]any{"virtualClusters": []VirtualClusterRef{{Space: "a", Name: "b"}}}},
}

func TestScopeThatCouldBeTakenForMoreIsRefused(t *testing.T) {
	w := newWorld(t)
	b := w.bundle()
	b.AllowAllClusters = true
	w.verifier.SetBundle(b)
	for _, tt := range wideningScopes {
		t.Run(tt.name, func(t *testing.T) {
			claims := payload(t, map[string]any{"aud": tt.audience, "scope": tt.scope})
			wantRefused(t, w.verifier, signUnchecked(t, w.signer, nil, claims), ReasonMalformed)
		})
	}
}

func TestSignRefusesSpacesOfSeveralClusters(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*Claims){
		"spaces":           func(c *Claims) { c.Scope.Spaces = []string{"team-a"} },
		"virtual clusters": func(c *Claims) { c.Scope.VirtualClusters = []VirtualClusterRef{{Space: "a", Name: "b"}} },
		"an audience too":  func(c *Claims) { c.Audience = jwt.Audience{testCluster} },
		"no cluster":       func(c *Claims) { c.Scope.Clusters = []string{} },
	} {
		c := namedClusters(testCluster, "other-cluster")
		change(&c)
		if _, err := w.signer.Sign(c); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func teamClaims(name string, groups ...string) Claims {
	c := aliceClaims()
	c.Subject, c.Groups = TeamName(name), append(TeamGroups(name), groups...)
	return c
}

func TestTeamIsASubject(t *testing.T) {
	w := newWorld(t)
	id := mustVerify(t, w.verifier, sign(t, w.signer, teamClaims("blue")))
	if diff := cmp.Diff("loft:team:blue", id.User.GetName()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"loft:team:blue", "loft:authenticated", "system:authenticated"}, id.User.GetGroups()); diff != "" {
		t.Error(diff)
	}
}

func TestTeamTakesNoOtherIdentity(t *testing.T) {
	w := newWorld(t)
	tests := map[string]Claims{
		"system:masters":                teamClaims("blue", "system:masters"),
		"a person's group":              teamClaims("blue", "loft:user:alice"),
		"the person of the same name":   teamClaims("blue", "loft:user:blue"),
		"another team's group":          teamClaims("blue", "loft:team:red"),
		"a team without a name":         teamClaims(""),
		"a team with a blank name":      teamClaims("blue "),
		"a blank before system:masters": teamClaims("blue", " system:masters"),
		"neither a person nor a team":   func() Claims { c := teamClaims("blue"); c.Subject = "loft:authenticated"; return c }(),
		"a person named as a team's group": func() Claims {
			c := teamClaims("blue")
			c.Subject = PersonName("alice")
			c.Groups = append(c.Groups, "loft:user:blue")
			return c
		}(),
	}
	for name, claims := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := w.signer.Sign(claims); err == nil {
				t.Error("Sign made it")
			}
			wantRefused(t, w.verifier, signUnchecked(t, w.signer, nil, claims), ReasonMalformed)
		})
	}
}

func TestRevokedTeamIsNotThePersonOfTheSameName(t *testing.T) {
	w := newWorld(t)
	c := aliceClaims()
	c.Subject, c.Groups = PersonName("blue"), PersonGroups("blue", "blue")
	person, team := sign(t, w.signer, c), sign(t, w.signer, teamClaims("blue"))
	b := w.bundle()
	b.Revocations.Subjects = []SubjectRevocation{{Subject: TeamName("blue")}}
	w.verifier.SetBundle(b)
	mustVerify(t, w.verifier, person)
	wantRefused(t, w.verifier, team, ReasonRevoked)
}

func TestEverybodysTokensAreRevokedUpToATime(t *testing.T) {
	w := newWorld(t)
	old := sign(t, w.signer, aliceClaims())
	id := mustVerify(t, w.verifier, old)
	c := aliceClaims()
	c.ID, c.IssuedAt, c.NotBefore = "token-2", date(testNow.Add(time.Second)), nil
	young := sign(t, w.signer, c)
	before := testNow.Unix()
	b := w.bundle()
	b.Revocations.IssuedBefore = &before
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if b, err = ParseBundle(data); err != nil {
		t.Fatal(err)
	}
	w.verifier.SetBundle(b)
	wantRefused(t, w.verifier, old, ReasonRevoked)
	wantReason(t, w.verifier.Valid(id), ReasonRevoked)
	mustVerify(t, w.verifier, young)
}
