package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// KubernetesResource is the name of the resource that Kubernetes objects are served
	// under; singular and plural are the same word.
	KubernetesResource = "kubernetes"

	// KubernetesName is the name of the one Kubernetes object of a cluster.
	KubernetesName = "cluster"

	// ProxySubresource is the subresource of KubernetesResource that forwards to the
	// host cluster's API server.
	ProxySubresource = "proxy"
)

// Types of the conditions of a Kubernetes object.
const (
	// ConditionReady is true when the direct endpoint serves requests.
	ConditionReady = "Ready"

	// ConditionTrustBundleLoaded is true when the agent holds the manager's signing keys
	// and revocations, without which no direct endpoint token is accepted.
	ConditionTrustBundleLoaded = "TrustBundleLoaded"

	// ConditionServingCertificateLoaded is true when the agent has a certificate to
	// serve the direct endpoint with.
	ConditionServingCertificateLoaded = "ServingCertificateLoaded"
)

// +genclient
// +genclient:nonNamespaced
// +genclient:onlyVerbs=get,list,watch,apply
// +resourceName=kubernetes
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Kubernetes is the host cluster as its agent sees it. There is one object, named
// "cluster"; its proxy subresource forwards requests to the host cluster's API server.
// It can be read, but neither written nor watched.
type Kubernetes struct {
	metav1.TypeMeta `json:""`

	// Standard object's metadata. The name is always "cluster".
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is empty: the agent is configured by its flags.
	// +optional
	Spec KubernetesSpec `json:"spec,omitempty"`

	// status is what the agent knows about itself and its cluster.
	// +optional
	Status KubernetesStatus `json:"status,omitempty"`
}

// KubernetesSpec is empty: the agent is configured by its flags.
type KubernetesSpec struct{}

// KubernetesStatus is what the agent knows about itself and its cluster.
type KubernetesStatus struct {
	// agentVersion is the version of the agent that answered.
	// +optional
	AgentVersion string `json:"agentVersion,omitempty"`

	// hostVersion is the git version of the host cluster's API server, such as "v1.37.2".
	// +optional
	HostVersion string `json:"hostVersion,omitempty"`

	// hostUID is the UID of the namespace kube-system, which identifies the host cluster.
	// A direct endpoint token names it as its audience.
	// +optional
	HostUID string `json:"hostUID,omitempty"`

	// conditions say whether the direct endpoint serves requests, and if not, why. Known
	// types are "Ready", "TrustBundleLoaded" and "ServingCertificateLoaded".
	// +optional
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// KubernetesList is a list of Kubernetes objects; it holds at most one.
type KubernetesList struct {
	metav1.TypeMeta `json:""`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the Kubernetes objects.
	Items []Kubernetes `json:"items"`
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
