package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// User is a person. People see themselves; who manages users sees them all.
type User struct {
	metav1.TypeMeta `json:""`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says who the person is.
	// +optional
	Spec storagev1.UserSpec `json:"spec,omitempty"`

	// status is what the manager found out about the person.
	// +optional
	Status UserStatus `json:"status,omitempty"`
}

// UserStatus is what the manager found out about a person.
type UserStatus struct {
	storagev1.UserStatus `json:",inline"`

	// teams are those that the person is in.
	// +optional
	// +listType=atomic
	Teams []EntityInfo `json:"teams,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// UserList is a list of User objects.
type UserList struct {
	metav1.TypeMeta `json:""`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the objects.
	Items []User `json:"items"`
}

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Team is a set of people. People see the teams that they are in; who manages teams sees them all.
type Team struct {
	metav1.TypeMeta `json:""`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says who is in the team.
	// +optional
	Spec storagev1.TeamSpec `json:"spec,omitempty"`

	// status is what the manager found out about the team.
	// +optional
	Status storagev1.TeamStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// TeamList is a list of Team objects.
type TeamList struct {
	metav1.TypeMeta `json:""`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the objects.
	Items []Team `json:"items"`
}

// +genclient
// +genclient:nonNamespaced
// +genclient:onlyVerbs=create
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Self answers who makes the request.
type Self struct {
	metav1.TypeMeta `json:""`

	// Standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is empty: the request itself is the question.
	// +optional
	Spec SelfSpec `json:"spec,omitempty"`

	// status is the answer.
	// +optional
	Status SelfStatus `json:"status,omitempty"`
}

// SelfSpec is empty: the request itself is the question.
type SelfSpec struct{}

// SelfStatus says who makes the request: a user, or a team.
type SelfStatus struct {
	// user is the person who makes the request; absent where a team's key was used, and for a
	// user of the central cluster who is no User.
	// +optional
	User *UserInfo `json:"user,omitempty"`

	// team is the team whose key was used.
	// +optional
	Team *EntityInfo `json:"team,omitempty"`

	// accessKey is the name of the access key that was used; empty where something else was.
	// +optional
	AccessKey string `json:"accessKey,omitempty"`

	// accessKeyType is the key's type, such as "Login".
	// +optional
	AccessKeyType string `json:"accessKeyType,omitempty"`

	// subject is the user name that permissions are checked for.
	// +optional
	Subject string `json:"subject,omitempty"`

	// groups are the groups that permissions are checked for.
	// +optional
	// +listType=atomic
	Groups []string `json:"groups,omitempty"`
}

// UserInfo names a user and the teams that the user is in.
type UserInfo struct {
	EntityInfo `json:",inline"`

	// teams are those that the user is in.
	// +optional
	// +listType=atomic
	Teams []EntityInfo `json:"teams,omitempty"`
}
