// Package bindings turns ClusterAccess objects into role bindings of connected clusters.
//
// Wanted says what a cluster should have, Sync makes it so: what nobody wants any more goes first.
//
// What surprises:
//   - Subjects are groups, of users too: every way into a cluster gives a person the group of the same
//     name, and impersonation by a group is checked once.
//   - A binding's role cannot be changed, so the role is part of its name: another role is another
//     binding, made before the old one goes.
//   - An empty list of namespaces binds nowhere; only an absent one is the whole cluster.
//   - Users and teams that are disabled, or do not exist, are left out. Whoever is made with that name
//     later gets what the ClusterAccess says.
//   - Whether the manager may bind a role is the cluster's own decision; its refusal is passed on.
package bindings

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/installer"
)

// everybody is the group of all people, whichever user or team they are.
const everybody = "loft:authenticated"

// Binding is a role in a cluster, for groups of people.
type Binding struct {
	// Namespace is where the role counts; empty: in the whole cluster.
	Namespace string
	// Name of the binding.
	Name string
	// Role is the name of a ClusterRole.
	Role string
	// Access is the name of the ClusterAccess that asks for it; empty: all of them together do.
	Access string
	// Groups are sorted.
	Groups []string
}

// People knows who there is.
type People interface {
	// HasUser and HasTeam say whether there is one of that name that is not disabled.
	HasUser(name string) bool
	HasTeam(name string) bool
}

// Wanted returns the bindings of a cluster. The first says who may use the endpoint; it is there even
// if nobody may, since there may be one in the cluster that lets everybody.
func Wanted(cluster string, accesses []*storagev1.ClusterAccess, people People) []Binding {
	users := sets.New[string]()
	var roles []Binding
	for _, access := range accesses {
		if !Names(access, cluster) {
			continue
		}
		groups := groupsOf(access, people)
		users.Insert(groups...)
		if access.Spec.ClusterRole != "" && len(groups) > 0 {
			roles = append(roles, bindingsOf(access, groups)...)
		}
	}
	endpoint := Binding{Name: installer.EndpointUserRole, Role: installer.EndpointUserRole, Groups: sets.List(users)}
	return append([]Binding{endpoint}, roles...)
}

// Names says whether the access is about the cluster.
func Names(access *storagev1.ClusterAccess, cluster string) bool {
	return slices.Contains(access.Spec.Clusters, cluster) || slices.Contains(access.Spec.Clusters, storagev1.Everything)
}

func groupsOf(access *storagev1.ClusterAccess, people People) []string {
	groups := sets.New[string]()
	for _, name := range access.Spec.Users {
		switch {
		case name == storagev1.Everything:
			groups.Insert(everybody)
		case people.HasUser(name):
			groups.Insert(accesstoken.PersonName(name))
		}
	}
	for _, name := range access.Spec.Teams {
		if people.HasTeam(name) {
			groups.Insert(accesstoken.TeamName(name))
		}
	}
	return sets.List(groups)
}

func bindingsOf(access *storagev1.ClusterAccess, groups []string) []Binding {
	namespaces := access.Spec.Namespaces
	if namespaces == nil {
		namespaces = []string{""}
	}
	var wanted []Binding
	for _, namespace := range namespaces {
		wanted = append(wanted, Binding{
			Namespace: namespace, Name: bindingName(access), Role: access.Spec.ClusterRole, Access: access.Name, Groups: groups,
		})
	}
	return wanted
}

func bindingName(access *storagev1.ClusterAccess) string {
	role := sha256.Sum256([]byte(access.Spec.ClusterRole))
	return "loft-access-" + access.Name + "-" + hex.EncodeToString(role[:4])
}
