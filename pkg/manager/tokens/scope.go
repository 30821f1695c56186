package tokens

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/accesstoken"
)

// reach is an access scope by cluster, so that two of them can be intersected.
type reach struct {
	readOnly bool
	// clusters are those that may be used; nil: every cluster.
	clusters map[string]limit
}

// limit is what may be used in one cluster: everything where both are nil, else what is in either.
type limit struct {
	spaces          sets.Set[string]
	virtualClusters sets.Set[accesstoken.VirtualClusterRef]
}

func (l limit) whole() bool { return l.spaces == nil && l.virtualClusters == nil }

func (l limit) empty() bool { return !l.whole() && len(l.spaces)+len(l.virtualClusters) == 0 }

// reachOf reads a scope; nil is no limit. A cluster that is named together with spaces in it is limited
// to these.
func reachOf(scope *storagev1.AccessScope) reach {
	if scope == nil {
		return reach{}
	}
	r := reach{readOnly: scope.ReadOnly}
	if len(scope.Clusters)+len(scope.Spaces)+len(scope.VirtualClusters) == 0 {
		return r
	}
	r.clusters = map[string]limit{}
	for _, c := range scope.Clusters {
		r.clusters[c.Cluster] = limit{}
	}
	for _, s := range scope.Spaces {
		l := r.clusters[s.Cluster]
		l.spaces = inserted(l.spaces, s.Space)
		r.clusters[s.Cluster] = l
	}
	for _, v := range scope.VirtualClusters {
		l := r.clusters[v.Cluster]
		l.virtualClusters = inserted(l.virtualClusters, accesstoken.VirtualClusterRef{Space: v.Space, Name: v.VirtualCluster})
		r.clusters[v.Cluster] = l
	}
	return r
}

func inserted[T comparable](set sets.Set[T], item T) sets.Set[T] {
	if set == nil {
		set = sets.New[T]()
	}
	return set.Insert(item)
}

// everywhere says whether no cluster is named.
func (r reach) everywhere() bool { return r.clusters == nil }

// names are the clusters, sorted.
func (r reach) names() []string { return slices.Sorted(maps.Keys(r.clusters)) }

// within is what r and other have in common. Where that is nothing, no cluster is left, which is not
// everywhere.
func (r reach) within(other reach) reach {
	both := reach{readOnly: r.readOnly || other.readOnly}
	switch {
	case r.everywhere():
		both.clusters = maps.Clone(other.clusters)
		return both
	case other.everywhere():
		both.clusters = maps.Clone(r.clusters)
		return both
	}
	both.clusters = map[string]limit{}
	for name, mine := range r.clusters {
		theirs, found := other.clusters[name]
		if !found {
			continue
		}
		if l := mine.within(theirs); !l.empty() {
			both.clusters[name] = l
		}
	}
	return both
}

func (l limit) within(other limit) limit {
	switch {
	case l.whole():
		return other
	case other.whole():
		return l
	}
	return limit{
		spaces: l.spaces.Intersection(other.spaces),
		virtualClusters: l.virtualClusters.Intersection(other.virtualClusters).
			Union(l.virtualClustersIn(other.spaces)).Union(other.virtualClustersIn(l.spaces)),
	}
}

// virtualClustersIn are those in spaces: whoever has the space has them.
func (l limit) virtualClustersIn(spaces sets.Set[string]) sets.Set[accesstoken.VirtualClusterRef] {
	in := sets.New[accesstoken.VirtualClusterRef]()
	for ref := range l.virtualClusters {
		if spaces.Has(ref.Space) {
			in.Insert(ref)
		}
	}
	return in
}

// limited says whether there is a cluster that may not be used as a whole.
func (r reach) limited() bool {
	for _, l := range r.clusters {
		if !l.whole() {
			return true
		}
	}
	return false
}

// scope is what a token says beside its audience, for UIDs of clusters; nil: nothing.
func (r reach) scope(uids []string) *accesstoken.Scope {
	scope := &accesstoken.Scope{ReadOnly: r.readOnly}
	if len(uids) > 1 {
		scope.Clusters = uids
	}
	for _, l := range r.clusters { // a single one, where any is limited
		if len(l.spaces) > 0 {
			scope.Spaces = sets.List(l.spaces)
		}
		if len(l.virtualClusters) > 0 {
			scope.VirtualClusters = sortedRefs(l.virtualClusters)
		}
	}
	if !scope.ReadOnly && scope.Clusters == nil && scope.Spaces == nil && scope.VirtualClusters == nil {
		return nil
	}
	return scope
}

func sortedRefs(refs sets.Set[accesstoken.VirtualClusterRef]) []accesstoken.VirtualClusterRef {
	return slices.SortedFunc(maps.Keys(refs), func(a, b accesstoken.VirtualClusterRef) int {
		return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(a.Name, b.Name))
	})
}
