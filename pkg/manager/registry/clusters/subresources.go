package clusters

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	managementv1 "loft.sh/agent/apis/management/v1"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/registry/people"
)

// MemberAccessREST says who may use a cluster.
type MemberAccessREST struct {
	clusters  *REST
	directory *access.Directory
}

var (
	_ rest.Getter = &MemberAccessREST{}
	_ rest.Scoper = &MemberAccessREST{}
	_ rest.Getter = &VirtualClusterDefaultsREST{}
	_ rest.Scoper = &VirtualClusterDefaultsREST{}
)

// NewMemberAccessREST returns the storage of memberaccess.
func NewMemberAccessREST(clusters *REST, directory *access.Directory) *MemberAccessREST {
	return &MemberAccessREST{clusters: clusters, directory: directory}
}

// New returns an empty answer.
func (*MemberAccessREST) New() runtime.Object { return &managementv1.ClusterMemberAccess{} }

// Destroy does nothing: the storage holds nothing open.
func (*MemberAccessREST) Destroy() {}

// NamespaceScoped says that the resource belongs to the cluster.
func (*MemberAccessREST) NamespaceScoped() bool { return false }

// Get answers to whoever may use the cluster.
func (r *MemberAccessREST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	cluster, err := seen(ctx, r.clusters, name)
	if err != nil {
		return nil, err
	}
	answer := &managementv1.ClusterMemberAccess{
		ObjectMeta: about(cluster),
		Users:      []managementv1.ClusterMember{}, Teams: []managementv1.ClusterMember{},
	}
	users, teams := r.directory.Members(name)
	for _, u := range users {
		answer.Users = append(answer.Users, managementv1.ClusterMember{Info: people.UserEntity(u)})
	}
	for _, t := range teams {
		answer.Teams = append(answer.Teams, managementv1.ClusterMember{Info: people.TeamEntity(t)})
	}
	return answer, nil
}

// VirtualClusterDefaultsREST says what a new virtual cluster is made from.
type VirtualClusterDefaultsREST struct{ clusters *REST }

// NewVirtualClusterDefaultsREST returns the storage of virtualclusterdefaults.
func NewVirtualClusterDefaultsREST(clusters *REST) *VirtualClusterDefaultsREST {
	return &VirtualClusterDefaultsREST{clusters: clusters}
}

// New returns an empty answer.
func (*VirtualClusterDefaultsREST) New() runtime.Object {
	return &managementv1.ClusterVirtualClusterDefaults{}
}

// Destroy does nothing: the storage holds nothing open.
func (*VirtualClusterDefaultsREST) Destroy() {}

// NamespaceScoped says that the resource belongs to the cluster.
func (*VirtualClusterDefaultsREST) NamespaceScoped() bool { return false }

// Get answers to whoever may use the cluster. No manager's defaults go before those of a client.
func (r *VirtualClusterDefaultsREST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	cluster, err := seen(ctx, r.clusters, name)
	if err != nil {
		return nil, err
	}
	return &managementv1.ClusterVirtualClusterDefaults{ObjectMeta: about(cluster)}, nil
}

// seen returns the cluster where the person may use it.
func seen(ctx context.Context, clusters *REST, name string) (metav1.Object, error) {
	found, err := clusters.Get(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	return found.(metav1.Object), nil
}

// about is the metadata of an answer about a cluster.
func about(cluster metav1.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: cluster.GetName(), CreationTimestamp: cluster.GetCreationTimestamp()}
}
