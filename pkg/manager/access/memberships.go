package access

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// Memberships says who is in which teams, for questions about many people at one moment. Asking the
// Directory about each of them takes as many steps as there are people in all teams.
type Memberships struct {
	byUser  map[string][]string
	byGroup map[string][]string
}

// Memberships reads all teams once.
func (d *Directory) Memberships() *Memberships {
	m := &Memberships{byUser: map[string][]string{}, byGroup: map[string][]string{}}
	for _, team := range d.allTeams() {
		if team.Spec.Disabled {
			continue
		}
		for _, name := range team.Spec.Users {
			m.byUser[name] = append(m.byUser[name], team.Name)
		}
		for _, group := range team.Spec.Groups {
			m.byGroup[group] = append(m.byGroup[group], team.Name)
		}
	}
	return m
}

// Of is TeamsOf at the moment that m was made.
func (m *Memberships) Of(u *storagev1.User) []string {
	names := slices.Clone(m.byUser[u.Name])
	for _, group := range u.Spec.Groups {
		names = append(names, m.byGroup[group]...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// AccessKey returns an access key by name. The error is a NotFound where there is none.
func (d *Directory) AccessKey(name string) (*storagev1.AccessKey, error) { return d.keys.Get(name) }

// Cluster returns a cluster by name. The error is a NotFound where there is none.
func (d *Directory) Cluster(name string) (*storagev1.Cluster, error) { return d.clusters.Get(name) }

// ClustersWithUID returns the names of the clusters that say that they have this UID, sorted. More than
// one is a cluster that was connected twice, or one that calls itself another.
func (d *Directory) ClustersWithUID(uid string) []string {
	clusters, _ := d.clusters.List(labels.Everything())
	var names []string
	for _, cluster := range clusters {
		if cluster.Status.ClusterUID == uid {
			names = append(names, cluster.Name)
		}
	}
	slices.Sort(names)
	return names
}
