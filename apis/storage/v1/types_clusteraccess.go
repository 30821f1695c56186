package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConditionBound is the type of the condition of a ClusterAccess that is true when every cluster
// that it names has its bindings.
const ConditionBound = "Bound"

// Everything stands for every name in a list of names.
const Everything = "*"

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=loft,path=clusteraccesses
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Clusters",type=string,JSONPath=`.spec.clusters`
// +kubebuilder:printcolumn:name="Users",type=string,JSONPath=`.spec.users`
// +kubebuilder:printcolumn:name="Teams",type=string,JSONPath=`.spec.teams`
// +kubebuilder:printcolumn:name="Role",type=string,JSONPath=`.spec.clusterRole`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// ClusterAccess says who may use which clusters, and with which cluster role. The manager makes
// bindings of it in those clusters, and takes them away again.
type ClusterAccess struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says who may use which clusters.
	// +optional
	Spec ClusterAccessSpec `json:"spec,omitempty"`

	// status is what became of it.
	// +optional
	Status ClusterAccessStatus `json:"status,omitempty"`
}

// ClusterAccessSpec says who may use which clusters.
type ClusterAccessSpec struct {
	// displayName is shown to people in place of the name.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	DisplayName string `json:"displayName,omitempty"`

	// clusters are the names of the Cluster objects; "*" is every cluster.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Clusters []string `json:"clusters,omitempty"`

	// users are the names of the User objects; "*" is every user.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Users []string `json:"users,omitempty"`

	// teams are the names of the Team objects.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Teams []string `json:"teams,omitempty"`

	// clusterRole is the ClusterRole in the connected clusters that they get. Empty: they may use
	// the cluster, with whatever rights its own bindings give them.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ClusterRole string `json:"clusterRole,omitempty"`

	// namespaces are those in which they get the role. Absent: the whole cluster.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Namespaces []string `json:"namespaces,omitempty"`
}

// ClusterAccessStatus is what became of a ClusterAccess.
type ClusterAccessStatus struct {
	// observedGeneration is the generation of the spec that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// conditions say what works and, where something does not, why.
	// +optional
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true

// ClusterAccessList is a list of ClusterAccess objects.
type ClusterAccessList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the objects.
	Items []ClusterAccess `json:"items"`
}
