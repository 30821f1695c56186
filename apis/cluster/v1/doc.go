// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=k8s.io/apimachinery/pkg/runtime
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=sh.loft.cluster.v1
// +groupName=cluster.loft.sh

// Package v1 holds the types of cluster.loft.sh/v1, the API that the agent serves in a
// connected cluster through the aggregation layer.
//
// What surprises: nothing here is stored in etcd. An object is the agent's own view of
// the cluster that it runs in, made at the moment of the request. There is one version
// and no internal one; package install registers these types as the server's memory
// version too.
package v1
