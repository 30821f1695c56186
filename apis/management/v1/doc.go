// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=k8s.io/apimachinery/pkg/runtime
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=sh.loft.management.v1
// +groupName=management.loft.sh

// Package v1 holds the types of management.loft.sh/v1, the API that the manager serves to people,
// at its own door and through the central cluster's aggregation layer.
//
// What surprises: nothing of it is stored. Clusters, users, teams and owned access keys are views of
// the custom resources of storage.loft.sh with the same names; the others are questions, answered at
// the moment of the request. There is one version and no internal one; package install registers
// these types as the server's memory version too.
package v1
