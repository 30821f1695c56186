package registry

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericrest "k8s.io/apiserver/pkg/registry/rest"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"

	managementv1 "loft.sh/agent/apis/management/v1"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/registry/clusters"
	"loft.sh/agent/pkg/manager/registry/directclusterendpointtokens"
	"loft.sh/agent/pkg/manager/registry/ownedaccesskeys"
	"loft.sh/agent/pkg/manager/registry/people"
	"loft.sh/agent/pkg/manager/registry/selves"
)

// Config is what the resources answer from.
type Config struct {
	// Storage reaches the custom resources storage.loft.sh/v1.
	Storage rest.Interface
	// Secrets keep the kubeconfigs of clusters.
	Secrets clusters.Secrets
	Policy  *access.Policy
	Issuer  directclusterendpointtokens.Issuer
	// ValidateAnnotations checks the annotations of a Cluster.
	ValidateAnnotations func(annotations map[string]string) field.ErrorList
}

// NewAPIGroupInfo returns the group management.loft.sh with all its resources, for InstallAPIGroup.
func NewAPIGroupInfo(c Config) genericserver.APIGroupInfo {
	scheme, codecs := Scheme()
	info := genericserver.NewDefaultAPIGroupInfo(managementv1.GroupName, scheme, runtime.NewParameterCodec(scheme), codecs)
	clusterREST := clusters.NewREST(c.Storage, c.Policy, c.ValidateAnnotations)
	info.VersionedResourcesStorageMap[managementv1.SchemeGroupVersion.Version] = map[string]genericrest.Storage{
		"clusters":                        clusterREST,
		"clusters/memberaccess":           clusters.NewMemberAccessREST(clusterREST, c.Policy.Directory),
		"clusters/kubeconfig":             clusters.NewKubeconfigREST(clusterREST, c.Storage, c.Secrets),
		"clusters/virtualclusterdefaults": clusters.NewVirtualClusterDefaultsREST(clusterREST),
		"users":                           people.NewUsersREST(c.Storage, c.Policy),
		"teams":                           people.NewTeamsREST(c.Storage, c.Policy),
		"selves":                          selves.NewREST(c.Policy.Directory),
		"ownedaccesskeys":                 ownedaccesskeys.NewREST(c.Storage, c.Policy.Directory),
		"directclusterendpointtokens":     directclusterendpointtokens.NewREST(c.Issuer),
	}
	return info
}
