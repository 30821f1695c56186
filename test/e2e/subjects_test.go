package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"loft.sh/agent/pkg/accesstoken"
)

// team returns the claims of a token of a team's own access key, good for an hour.
func team(name string) accesstoken.Claims {
	return accesstoken.Claims{
		Subject: accesstoken.TeamName(name), UID: name + "-uid", Groups: accesstoken.TeamGroups(name),
		Audience: jwt.Audience{shared.Keys().ClusterUID()}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour)),
	}
}

// namedClusters are a person's claims for clusters by UID.
func namedClusters(name string, uids ...string) accesstoken.Claims {
	claims := person(name)
	claims.Audience, claims.Scope = jwt.Audience{accesstoken.AllClusters}, &accesstoken.Scope{Clusters: uids}
	return claims
}

func TestAPIServerSeesATeamAsItself(t *testing.T) {
	claims := team("blue")
	token := sign(t, claims)
	for _, p := range rawPorts(t) {
		t.Run(p.name, func(t *testing.T) {
			agent := uniqueAgent()
			sameUser(t, userOf(claims), whoami(t, p, clusterPath, bearer(token), "User-Agent: "+agent))
			wantAudited(t, agent, claims)
		})
	}
}

func TestTokenForSeveralClustersWorksInEachOfThem(t *testing.T) {
	claims := namedClusters("mallory", "another-cluster", shared.Keys().ClusterUID())
	token := sign(t, claims)
	for _, allowAll := range []bool{true, false} {
		setBundle(t, func(b *accesstoken.Bundle) { b.AllowAllClusters = allowAll })
		sameUser(t, userOf(claims), whoami(t, rawPorts(t)[0], clusterPath, bearer(token)))
	}
}

// TestTokensOfOtherClustersReplayedHere also forges what the manager never signs.
func TestTokensOfOtherClustersReplayedHere(t *testing.T) {
	here := shared.Keys().ClusterUID()
	spaces := namedClusters("mallory", here, "another-cluster")
	spaces.Scope.Spaces = []string{"default"}
	both := namedClusters("mallory", "another-cluster")
	both.Audience = jwt.Audience{here}
	masters := team("blue")
	masters.Groups = append(masters.Groups, "system:masters")
	other := team("blue")
	other.Groups = append(other.Groups, "loft:team:red")
	for name, forged := range map[string]accesstoken.Claims{
		"named clusters, and not this one":           namedClusters("mallory", "another-cluster", here+"x"),
		"a space that means another in each cluster": spaces,
		"this cluster and another one's list":        both,
		"a team in system:masters":                   masters,
		"a team in another team":                     other,
	} {
		forged.Issuer, forged.ID, forged.IssuedAt = shared.Keys().Signer().Issuer(), "forged", jwt.NewNumericDate(time.Now())
		token, err := shared.Keys().Signer().SignUnchecked(nil, forged)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range rawPorts(t) {
			t.Run(p.name+" "+name, func(t *testing.T) {
				answer := p.send(t, http.MethodGet, clusterPath+"/api/v1/namespaces", "", bearer(token))
				answer.wantStatus(t, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "direct endpoint token refused")
			})
		}
	}
}

// TestRevokedTeamIsRefused leaves alone the person of the same name.
func TestRevokedTeamIsRefused(t *testing.T) {
	token, same := sign(t, team("gone")), sign(t, person("gone"))
	port := rawPorts(t)[0]
	whoami(t, port, clusterPath, bearer(token))
	setBundle(t, func(b *accesstoken.Bundle) {
		b.Revocations.Subjects = []accesstoken.SubjectRevocation{{Subject: accesstoken.TeamName("gone")}}
	})
	await(t, func(context.Context) error {
		if answer := port.send(t, http.MethodGet, clusterPath+"/version", "", bearer(token)); answer.code != http.StatusUnauthorized {
			return fmt.Errorf("answer %d", answer.code)
		}
		return nil
	})
	whoami(t, port, clusterPath, bearer(same))
}

// TestAuditNamesTokenAndKey finds in the agent's record what revokes a token that somebody misuses.
func TestAuditNamesTokenAndKey(t *testing.T) {
	claims := person("audited")
	claims.ID, claims.AccessKey = "audited-token", "audited-key"
	agent := uniqueAgent()
	whoami(t, rawPorts(t)[0], clusterPath, bearer(sign(t, claims)), "User-Agent: "+agent)
	for _, event := range audited(t, shared.AgentAuditLog(), func(e *auditv1.Event) bool { return e.UserAgent == agent }) {
		for annotation, want := range map[string]string{"cluster.loft.sh/token-id": "audited-token", "cluster.loft.sh/access-key": "audited-key"} {
			if got := event.Annotations[annotation]; got != want {
				t.Errorf("annotation %s is %q, want %q", annotation, got, want)
			}
		}
	}
}
