package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AccessKeyTypeLogin is the type of a key that a login made; logging out deletes it.
const AccessKeyTypeLogin = "Login"

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=loft
// +kubebuilder:subresource:status
// +kubebuilder:selectablefield:JSONPath=`.spec.key`
// +kubebuilder:selectablefield:JSONPath=`.spec.user`
// +kubebuilder:printcolumn:name="User",type=string,JSONPath=`.spec.user`
// +kubebuilder:printcolumn:name="Team",type=string,JSONPath=`.spec.team`
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Disabled",type=boolean,JSONPath=`.spec.disabled`
// +kubebuilder:printcolumn:name="Last Activity",type=date,JSONPath=`.status.lastActivity`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// AccessKey is a secret that stands for a user or a team. The secret itself is not kept.
type AccessKey struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says whom the key stands for, and within which limits.
	Spec AccessKeySpec `json:"spec"`

	// status is what the manager found out about the key.
	// +optional
	Status AccessKeyStatus `json:"status,omitempty"`
}

// AccessKeySpec says whom a key stands for, and within which limits.
// +kubebuilder:validation:XValidation:rule="has(self.user) != has(self.team)",message="exactly one of user and team must be set"
// +kubebuilder:validation:XValidation:rule="has(self.user) == has(oldSelf.user)",message="a key of a user cannot be given to a team, nor one of a team to a user"
type AccessKeySpec struct {
	// displayName is shown to people.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	DisplayName string `json:"displayName,omitempty"`

	// description is shown to people.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Description string `json:"description,omitempty"`

	// user is the name of the User that the key stands for.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a key cannot be given to another user"
	User string `json:"user,omitempty"`

	// team is the name of the Team that the key stands for.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a key cannot be given to another team"
	Team string `json:"team,omitempty"`

	// key is the SHA-256 of the secret, as "sha256:" and 64 hex digits. The secret is shown once,
	// when the key is made.
	// +kubebuilder:validation:Pattern=`^sha256:[0-9a-f]{64}$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the secret of a key cannot change; make another key"
	Key string `json:"key"`

	// disabled refuses the key, and the direct endpoint tokens that came from it.
	// +optional
	Disabled bool `json:"disabled,omitempty"`

	// ttl is the key's lifetime in seconds, from its creation on; 0: no end.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTL int64 `json:"ttl,omitempty"`

	// ttlAfterLastActivity makes ttl count from the last use of the key on.
	// +optional
	TTLAfterLastActivity bool `json:"ttlAfterLastActivity,omitempty"`

	// scope narrows what the key may do; absent: whatever its owner may.
	// +optional
	Scope *AccessScope `json:"scope,omitempty"`

	// type is "Login" for a key that a login made; empty for others.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Type string `json:"type,omitempty"`
}

// AccessScope narrows what a key or a token may do. An absent list does not narrow anything.
type AccessScope struct {
	// readOnly allows reading alone.
	// +optional
	ReadOnly bool `json:"readOnly,omitempty"`

	// clusters are the clusters that may be used.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Clusters []AccessScopeCluster `json:"clusters,omitempty"`

	// spaces are the spaces that may be used; nothing outside of them may.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Spaces []AccessScopeSpace `json:"spaces,omitempty"`

	// virtualClusters are the virtual clusters that may be used; nothing outside of them may.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	VirtualClusters []AccessScopeVirtualCluster `json:"virtualClusters,omitempty"`
}

// AccessScopeCluster names a cluster.
type AccessScopeCluster struct {
	// cluster is the name of the Cluster.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Cluster string `json:"cluster"`
}

// AccessScopeSpace names a space.
type AccessScopeSpace struct {
	// cluster is the name of the Cluster that the space is in.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Cluster string `json:"cluster"`

	// space is the space's name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Space string `json:"space"`
}

// AccessScopeVirtualCluster names a virtual cluster.
type AccessScopeVirtualCluster struct {
	// cluster is the name of the Cluster that the virtual cluster is in.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Cluster string `json:"cluster"`

	// space is the space that the virtual cluster is in.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Space string `json:"space"`

	// virtualCluster is the virtual cluster's name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	VirtualCluster string `json:"virtualCluster"`
}

// AccessKeyStatus is what the manager found out about a key.
type AccessKeyStatus struct {
	// lastActivity is when the key was used last; up to a minute old.
	// +optional
	LastActivity *metav1.Time `json:"lastActivity,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true

// AccessKeyList is a list of AccessKey objects.
type AccessKeyList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the objects.
	Items []AccessKey `json:"items"`
}
