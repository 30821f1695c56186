package hosts

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// claims says which Cluster a connected cluster belongs to. Those that are recorded in a status count
// from before; what was claimed since is remembered, since a status is seen late.
type claims struct {
	clusters func() []*storagev1.Cluster

	lock  sync.Mutex
	taken map[string]types.UID // by the UID of the connected cluster
}

func newClaims(clusters func() []*storagev1.Cluster) *claims {
	return &claims{clusters: clusters, taken: map[string]types.UID{}}
}

// take claims the cluster with hostUID, or returns the name of the Cluster that has it.
func (c *claims) take(hostUID string, by *storagev1.Cluster) (other string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	var oldest *storagev1.Cluster
	for _, cluster := range c.clusters() {
		if cluster.UID == by.UID {
			continue
		}
		if c.taken[hostUID] == cluster.UID {
			return cluster.Name
		}
		if cluster.Status.ClusterUID == hostUID && (oldest == nil || older(cluster, oldest)) {
			oldest = cluster
		}
	}
	if oldest != nil && c.taken[hostUID] != by.UID && (by.Status.ClusterUID != hostUID || older(oldest, by)) {
		return oldest.Name
	}
	c.taken[hostUID] = by.UID
	return ""
}

// release gives up whatever a Cluster claimed.
func (c *claims) release(by types.UID) {
	c.lock.Lock()
	defer c.lock.Unlock()
	for hostUID, taken := range c.taken {
		if taken == by {
			delete(c.taken, hostUID)
		}
	}
}

func older(a, b *storagev1.Cluster) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.UID < b.UID
	}
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}
