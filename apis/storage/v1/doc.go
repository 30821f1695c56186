// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=sh.loft.storage.v1
// +kubebuilder:object:generate=false
// +groupName=storage.loft.sh
// +versionName=v1

// Package v1 holds the types of storage.loft.sh/v1: custom resources, in which everything that the
// manager knows is kept by the central cluster's etcd. Their CustomResourceDefinitions in
// artifacts/manager/crds are generated from here.
//
// What surprises: no access key is kept, only its SHA-256. A plain hash is enough since a key is
// 256 random bits, which no dictionary holds and nobody can try out; and being without salt, it is
// how a key is looked up.
package v1
