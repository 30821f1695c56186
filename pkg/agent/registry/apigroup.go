package registry

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	genericserver "k8s.io/apiserver/pkg/server"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/registry/kubernetes"
	"loft.sh/agent/pkg/agent/registry/sleepmodeconfigs"
	"loft.sh/agent/pkg/agent/registry/spaces"
)

// NewAPIGroupInfo returns the group cluster.loft.sh with all its resources, for
// InstallAPIGroup. It is called when the agent starts: the objects that exist while the
// agent runs are as old as this call.
func NewAPIGroupInfo(status kubernetes.StatusSource, spaces *spaces.REST, configs *sleepmodeconfigs.REST) genericserver.APIGroupInfo {
	scheme, codecs := Scheme()
	// The parameter codec must know ProxyOptions, so metav1.ParameterCodec would not do.
	info := genericserver.NewDefaultAPIGroupInfo(clusterv1.GroupName, scheme, runtime.NewParameterCodec(scheme), codecs)
	info.VersionedResourcesStorageMap[clusterv1.SchemeGroupVersion.Version] = map[string]rest.Storage{
		"kubernetes":       kubernetes.NewREST(status, time.Now()),
		"kubernetes/proxy": kubernetes.NewProxyREST(),
		"spaces":           spaces,
		"sleepmodeconfigs": configs,
	}
	return info
}
