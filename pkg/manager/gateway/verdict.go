package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/accesskey"
)

// verdict is what somebody may do in one cluster. It is not changed.
type verdict struct {
	// groups are those of whom it is about.
	groups []string
	// unknown says why the identity is not good any more; nil: it is.
	unknown error
	// refused says why nothing may be done; empty: something may.
	refused string
	// scope is what the access key leaves of the cluster; the zero value leaves everything.
	scope accesstoken.Scope
	teams []string
}

// activityLag is how much later than used an access key may be known here to be used.
const activityLag = 2 * time.Minute

var (
	errGone     = errors.New("the user or team is gone")
	errDisabled = errors.New("the user, the team or the access key was disabled, or is gone")
)

// judge finds out what info may do in the cluster, which need not exist. An error says that it could
// not be found out.
func judge(ctx context.Context, policy *access.Policy, info user.Info, cluster string) (*verdict, error) {
	v := &verdict{groups: info.GetGroups()}
	if v.refused = notAPerson(info); v.refused != "" {
		return v, nil
	}
	person := policy.Person(info)
	v.teams = person.Teams
	if v.unknown = unknown(policy, &person); v.unknown != nil {
		v.refused = "cannot use clusters: " + v.unknown.Error()
		return v, nil
	}
	may, err := policy.MayUseCluster(ctx, info, cluster)
	if err != nil {
		return nil, err
	}
	if !may {
		v.refused = mayNotUse(cluster)
	}
	v.scope = scopeIn(person.Scope(), cluster)
	return v, nil
}

// unknown says why a person's identity is not good any more.
func unknown(policy *access.Policy, person *access.Person) error {
	if person.Refused() {
		return errDisabled
	}
	var err error
	if person.User != "" {
		_, err = policy.User(person.User)
	} else {
		_, err = policy.Team(person.Team)
	}
	if err != nil {
		return errGone
	}
	if key := person.AccessKey; key != nil {
		now := time.Now()
		if key.Spec.TTLAfterLastActivity {
			now = now.Add(-activityLag)
		}
		return accesskey.Check(key, time.Time{}, now)
	}
	return nil
}

// notAPerson says why an identity is not carried to clusters; empty: it is. Names and groups of the
// central cluster's own, such as its service accounts and "system:masters", would be others there.
func notAPerson(info user.Info) string {
	name := info.GetName()
	if !strings.HasPrefix(name, accesstoken.PersonName("")) && !strings.HasPrefix(name, accesstoken.TeamName("")) {
		return "cannot use clusters: it is no user or team of the manager's; name it as the subject of a User"
	}
	for _, group := range info.GetGroups() {
		if strings.HasPrefix(group, "system:") && group != user.AllAuthenticated {
			return fmt.Sprintf("cannot use clusters: its group %q is somebody else's there", group)
		}
	}
	return ""
}

// scopeIn is what a scope leaves of the cluster, if anything.
func scopeIn(scope *storagev1.AccessScope, cluster string) (in accesstoken.Scope) {
	if scope == nil {
		return in
	}
	in.ReadOnly = scope.ReadOnly
	if slices.ContainsFunc(scope.Clusters, func(c storagev1.AccessScopeCluster) bool { return c.Cluster == cluster }) {
		return in
	}
	for _, s := range scope.Spaces {
		if s.Cluster == cluster {
			in.Spaces = append(in.Spaces, s.Space)
		}
	}
	for _, v := range scope.VirtualClusters {
		if v.Cluster == cluster {
			in.VirtualClusters = append(in.VirtualClusters, accesstoken.VirtualClusterRef{Space: v.Space, Name: v.VirtualCluster})
		}
	}
	return in
}

// refusal says why the target is refused; empty: it is not.
func (v *verdict) refusal(target *door.Target) string {
	if v.refused != "" {
		return v.refused
	}
	return door.OutOfScope(&v.scope, "access key", target)
}

// inTeams says whether all teams among the groups are still those of the person. Whoever left a team
// must not keep watching what the team may see.
func (v *verdict) inTeams(groups []string) bool {
	prefix := accesstoken.TeamName("")
	return !slices.ContainsFunc(groups, func(group string) bool {
		team, ok := strings.CutPrefix(group, prefix)
		return ok && !slices.Contains(v.teams, team)
	})
}
