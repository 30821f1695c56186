package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group that the manager serves.
const GroupName = "management.loft.sh"

var (
	// SchemeGroupVersion is the group and version of the types in this package.
	SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1"}

	// SchemeBuilder collects what AddToScheme registers.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the types, their conversions from a URL's query and the
	// option types of the API machinery.
	AddToScheme = localSchemeBuilder.AddToScheme

	// localSchemeBuilder is the name by which the generated conversions find SchemeBuilder.
	localSchemeBuilder = &SchemeBuilder
)

// Kind qualifies a kind of this package with its group.
func Kind(kind string) schema.GroupKind {
	return SchemeGroupVersion.WithKind(kind).GroupKind()
}

// Resource qualifies a resource of this package with its group.
func Resource(resource string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(resource).GroupResource()
}

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion, KnownTypes()...)
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}

// KnownTypes returns a new, empty object of every type of this package that the API serves.
func KnownTypes() []runtime.Object {
	return []runtime.Object{
		&Cluster{}, &ClusterList{},
		&ClusterMemberAccess{}, &ClusterVirtualClusterDefaults{}, &ClusterKubeconfig{},
		&User{}, &UserList{},
		&Team{}, &TeamList{},
		&Self{},
		&OwnedAccessKey{}, &OwnedAccessKeyList{},
		&DirectClusterEndpointToken{},
		&ProxyOptions{},
	}
}
