package registry

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
	genericserver "k8s.io/apiserver/pkg/server"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/registry/kubernetes"
)

// NewAPIGroupInfo returns the group cluster.loft.sh with all its resources.
func NewAPIGroupInfo(status kubernetes.StatusSource) genericserver.APIGroupInfo {
	scheme, codecs := Scheme()
	info := genericserver.NewDefaultAPIGroupInfo(clusterv1.GroupName, scheme, metav1.ParameterCodec, codecs)
	info.VersionedResourcesStorageMap[clusterv1.SchemeGroupVersion.Version] = map[string]rest.Storage{
		clusterv1.KubernetesResource: kubernetes.NewREST(status),
		"kubernetes/proxy":           kubernetes.NewProxyREST(),
	}
	return info
}
