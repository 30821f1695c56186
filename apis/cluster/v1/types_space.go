package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Space is a namespace that belongs to a user or a team. It is a view: name, labels, annotations,
// UID and resource version are the namespace's. A person sees the spaces that the cluster's RBAC
// lets that person use.
type Space struct {
	metav1.TypeMeta `json:""`

	// Standard object's metadata: the namespace's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says whose the space is and what is put into it.
	// +optional
	Spec SpaceSpec `json:"spec,omitempty"`

	// status is what the agent knows of the space.
	// +optional
	Status SpaceStatus `json:"status,omitempty"`
}

// SpaceSpec says whose a space is and what is put into it.
type SpaceSpec struct {
	// user is the name of the user whom the space belongs to. Not together with team.
	// +optional
	User string `json:"user,omitempty"`

	// team is the name of the team that the space belongs to. Not together with user.
	// +optional
	Team string `json:"team,omitempty"`

	// objects are manifests, as YAML documents or JSON, that are applied to the space when it is
	// made and whenever they change. Only namespaced objects; those without a namespace get the
	// space's. They are applied with the rights of whoever wrote them.
	// +optional
	Objects string `json:"objects,omitempty"`

	// finalizers are the namespace's.
	// +optional
	// +listType=atomic
	Finalizers []corev1.FinalizerName `json:"finalizers,omitempty"`
}

// SpaceStatus is what the agent knows of a space.
type SpaceStatus struct {
	// phase is the namespace's: Active or Terminating.
	// +optional
	Phase corev1.NamespacePhase `json:"phase,omitempty"`

	// sleepModeConfig is how and since when the space sleeps. It is always there.
	// +optional
	SleepModeConfig *SleepModeConfig `json:"sleepModeConfig,omitempty"`

	// owner is whom the space belongs to; none where it belongs to nobody.
	// +optional
	Owner *SpaceOwner `json:"owner,omitempty"`
}

// SpaceOwner is a user or a team.
type SpaceOwner struct {
	// user is the owner where it is a user.
	// +optional
	User *EntityInfo `json:"user,omitempty"`

	// team is the owner where it is a team.
	// +optional
	Team *EntityInfo `json:"team,omitempty"`
}

// EntityInfo names a user or a team. The agent knows names alone.
type EntityInfo struct {
	// name is the name of the user or team.
	// +optional
	Name string `json:"name,omitempty"`

	// displayName is shown to people in place of the name.
	// +optional
	DisplayName string `json:"displayName,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// SpaceList is a list of Space objects.
type SpaceList struct {
	metav1.TypeMeta `json:""`

	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the spaces.
	Items []Space `json:"items"`
}
