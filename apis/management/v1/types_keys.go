package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// OwnedAccessKey is an access key of whoever makes the request.
type OwnedAccessKey struct {
	metav1.TypeMeta `json:""`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says within which limits the key stands for its owner. On creation user and team are
	// filled in, and the answer holds the secret in spec.key; no other answer does.
	// +optional
	Spec OwnedAccessKeySpec `json:"spec,omitempty"`

	// status is what the manager found out about the key.
	// +optional
	Status storagev1.AccessKeyStatus `json:"status,omitempty"`
}

// OwnedAccessKeySpec is the spec of an AccessKey, but for the key, which may be left out.
type OwnedAccessKeySpec struct {
	// displayName is shown to people.
	// +optional
	DisplayName string `json:"displayName,omitempty"`

	// description is shown to people.
	// +optional
	Description string `json:"description,omitempty"`

	// user is the name of the User that the key stands for.
	// +optional
	User string `json:"user,omitempty"`

	// team is the name of the Team that the key stands for.
	// +optional
	Team string `json:"team,omitempty"`

	// key is the secret. It is made by the manager and stands in the answer to the creation alone.
	// +optional
	Key string `json:"key,omitempty"`

	// disabled refuses the key, and the direct endpoint tokens that came from it.
	// +optional
	Disabled bool `json:"disabled,omitempty"`

	// ttl is the key's lifetime in seconds, from its creation on; 0: no end.
	// +optional
	TTL int64 `json:"ttl,omitempty"`

	// ttlAfterLastActivity makes ttl count from the last use of the key on.
	// +optional
	TTLAfterLastActivity bool `json:"ttlAfterLastActivity,omitempty"`

	// scope narrows what the key may do; absent: whatever its owner may.
	// +optional
	Scope *storagev1.AccessScope `json:"scope,omitempty"`

	// type is "Login" for a key that a login made; empty for others.
	// +optional
	Type string `json:"type,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// OwnedAccessKeyList is a list of OwnedAccessKey objects.
type OwnedAccessKeyList struct {
	metav1.TypeMeta `json:""`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the objects.
	Items []OwnedAccessKey `json:"items"`
}

// +genclient
// +genclient:nonNamespaced
// +genclient:onlyVerbs=create
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// DirectClusterEndpointToken asks for a token for direct cluster endpoints.
type DirectClusterEndpointToken struct {
	metav1.TypeMeta `json:""`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what the token is for. Empty: every cluster that its owner may use, if the
	// manager's policy allows such tokens, for a day.
	// +optional
	Spec DirectClusterEndpointTokenSpec `json:"spec,omitempty"`

	// status holds the token.
	// +optional
	Status DirectClusterEndpointTokenStatus `json:"status,omitempty"`
}

// DirectClusterEndpointTokenSpec says what a token is for.
type DirectClusterEndpointTokenSpec struct {
	// ttl is the token's lifetime in seconds; 0 or absent: a day.
	// +optional
	TTL int64 `json:"ttl,omitempty"`

	// scope narrows what the token may do.
	// +optional
	Scope *storagev1.AccessScope `json:"scope,omitempty"`
}

// DirectClusterEndpointTokenStatus holds a token.
type DirectClusterEndpointTokenStatus struct {
	// token is the token.
	// +optional
	Token string `json:"token,omitempty"`

	// expirationTimestamp is when the token ends.
	// +optional
	ExpirationTimestamp *metav1.Time `json:"expirationTimestamp,omitempty"`
}
