package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// +genclient
// +genclient:nonNamespaced
// +genclient:method=GetMemberAccess,verb=get,subresource=memberaccess,result=ClusterMemberAccess
// +genclient:method=CreateKubeconfig,verb=create,subresource=kubeconfig,input=ClusterKubeconfig,result=ClusterKubeconfig
// +genclient:method=GetVirtualClusterDefaults,verb=get,subresource=virtualclusterdefaults,result=ClusterVirtualClusterDefaults
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Cluster is a connected cluster. A person sees those that the person may use.
type Cluster struct {
	metav1.TypeMeta `json:""`

	// Standard object's metadata. The annotations "loft.sh/direct-cluster-endpoint",
	// "…-insecure" and "…-ca-data" say where and how the cluster is reached directly.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says how the cluster is reached and how its agent is to run.
	// +optional
	Spec storagev1.ClusterSpec `json:"spec,omitempty"`

	// status is what the manager found.
	// +optional
	Status storagev1.ClusterStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterList is a list of Cluster objects.
type ClusterList struct {
	metav1.TypeMeta `json:""`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the objects.
	Items []Cluster `json:"items"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterMemberAccess says who may use a cluster.
type ClusterMemberAccess struct {
	metav1.TypeMeta `json:""`

	// Standard object's metadata. The name is the cluster's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// users may use the cluster.
	// +optional
	// +listType=atomic
	Users []ClusterMember `json:"users,omitempty"`

	// teams may use the cluster.
	// +optional
	// +listType=atomic
	Teams []ClusterMember `json:"teams,omitempty"`
}

// ClusterMember is a user or a team that may use a cluster.
type ClusterMember struct {
	// info names the user or team.
	// +optional
	Info EntityInfo `json:"info,omitempty"`
}

// EntityInfo names a user or a team.
type EntityInfo struct {
	// name is the name of the User or Team object.
	// +optional
	Name string `json:"name,omitempty"`

	// displayName is shown to people in place of the name.
	// +optional
	DisplayName string `json:"displayName,omitempty"`

	// username is the name that a user signs in with, or a team's short name.
	// +optional
	Username string `json:"username,omitempty"`

	// email is a user's address.
	// +optional
	Email string `json:"email,omitempty"`

	// subject is the name under which an identity provider knows a user.
	// +optional
	Subject string `json:"subject,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterVirtualClusterDefaults is what a new virtual cluster in a cluster is made from where its
// maker says nothing else.
type ClusterVirtualClusterDefaults struct {
	metav1.TypeMeta `json:""`

	// Standard object's metadata. The name is the cluster's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// latestVersion is the chart's version that is taken.
	// +optional
	LatestVersion string `json:"latestVersion,omitempty"`

	// values are the chart's values, as YAML.
	// +optional
	Values string `json:"values,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterKubeconfig gives the manager the kubeconfig by which it reaches a cluster, in place of the
// one before. It can be written and not read.
type ClusterKubeconfig struct {
	metav1.TypeMeta `json:""`

	// Standard object's metadata. The name is the cluster's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the kubeconfig.
	// +optional
	Spec ClusterKubeconfigSpec `json:"spec,omitempty"`
}

// ClusterKubeconfigSpec holds a kubeconfig.
type ClusterKubeconfigSpec struct {
	// config is a kubeconfig that needs no other file and runs no program. No answer repeats it.
	// +optional
	Config string `json:"config,omitempty"`
}

// +k8s:conversion-gen:explicit-from=net/url.Values
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ProxyOptions are the query options of a call of a proxy subresource.
type ProxyOptions struct {
	metav1.TypeMeta `json:""`

	// path is the part of the URL below the subresource: the path of the request to the
	// API server behind it.
	// +optional
	Path string `json:"path,omitempty"`
}
