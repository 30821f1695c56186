package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Annotations of a Cluster.
const (
	// AnnotationDirectEndpoint is the host under which people reach the agent, such as
	// "eu.example.com"; "https://" before it and one "/" behind it may be left out. Not empty: the
	// endpoint is on and preferred to the manager.
	AnnotationDirectEndpoint = "loft.sh/direct-cluster-endpoint"

	// AnnotationDirectEndpointInsecure is "true" where clients shall not verify the endpoint's
	// certificate.
	AnnotationDirectEndpointInsecure = "loft.sh/direct-cluster-endpoint-insecure"

	// AnnotationDirectEndpointCAData is the standard base64 of the PEM certificates that clients
	// verify the endpoint with.
	AnnotationDirectEndpointCAData = "loft.sh/direct-cluster-endpoint-ca-data"

	// AnnotationStreamIdleTimeout is the number of seconds after which an idle exec, attach or
	// port-forward is closed.
	AnnotationStreamIdleTimeout = "loft.sh/streaming-connection-idle-timeout"

	// AnnotationIgnoreAgent is "true" where the manager shall leave the agent alone: neither install
	// nor upgrade nor remove it. It still gets the trust bundle, and people get their bindings.
	AnnotationIgnoreAgent = "loft.sh/cluster-ignore-agent"

	// AnnotationForceDelete is "true" where a Cluster shall be deleted although its agent cannot be
	// taken out, since the cluster is gone for good.
	AnnotationForceDelete = "loft.sh/force-delete"
)

// AnnotationUnmanaged is "true" on objects in a connected cluster that the manager would install, and
// shall leave as they are.
const AnnotationUnmanaged = "loft.sh/unmanaged"

// FinalizerAgent keeps a Cluster until the agent has been taken out of it.
const FinalizerAgent = "loft.sh/agent"

// Types of the conditions of a Cluster.
const (
	// ConditionConnected is true when the manager reaches the cluster's API server.
	ConditionConnected = "Connected"

	// ConditionAgentDeployed is true when the agent's objects are in the cluster as the manager
	// wants them.
	ConditionAgentDeployed = "AgentDeployed"

	// ConditionAgentReady is true when the agent says that it serves requests.
	ConditionAgentReady = "AgentReady"

	// ConditionTrustBundleSynced is true when the agent's keys and revocations are the newest.
	ConditionTrustBundleSynced = "TrustBundleSynced"

	// ConditionAccessSynced is true when the cluster's bindings say what the ClusterAccess objects
	// say.
	ConditionAccessSynced = "AccessSynced"

	// ConditionDirectEndpointReachable is true when this cluster, and no other, answers at its
	// endpoint. It is absent without an endpoint.
	ConditionDirectEndpointReachable = "DirectEndpointReachable"
)

// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=loft
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Endpoint",type=string,JSONPath=`.metadata.annotations.loft\.sh/direct-cluster-endpoint`
// +kubebuilder:printcolumn:name="Reachable",type=string,JSONPath=`.status.conditions[?(@.type=="DirectEndpointReachable")].status`
// +kubebuilder:printcolumn:name="Connected",type=string,JSONPath=`.status.conditions[?(@.type=="Connected")].status`
// +kubebuilder:printcolumn:name="Agent",type=string,JSONPath=`.status.agentVersion`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// Cluster is a connected cluster: how the manager reaches it, and what it found there.
type Cluster struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says how the cluster is reached and how its agent is to run.
	// +optional
	Spec ClusterSpec `json:"spec,omitempty"`

	// status is what the manager found.
	// +optional
	Status ClusterStatus `json:"status,omitempty"`
}

// ClusterSpec says how a cluster is reached and how its agent is to run.
type ClusterSpec struct {
	// displayName is shown to people in place of the name.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	DisplayName string `json:"displayName,omitempty"`

	// description is shown to people.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Description string `json:"description,omitempty"`

	// config names the Secret with the kubeconfig by which the manager reaches the cluster.
	// +optional
	Config SecretRef `json:"config,omitempty"`

	// agent says how the agent is to run.
	// +optional
	Agent ClusterAgent `json:"agent,omitempty"`
}

// SecretRef names a key in a Secret of the central cluster.
// +kubebuilder:validation:XValidation:rule="!has(self.secretNamespace) || has(self.secretName)",message="secretNamespace without secretName names nothing"
type SecretRef struct {
	// secretName is the Secret's name.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// secretNamespace is the Secret's namespace; the manager's own by default.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	SecretNamespace string `json:"secretNamespace,omitempty"`

	// key is the key in the Secret; "config" by default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// ClusterAgent says how the agent of a cluster is to run. Empty: as the manager's manifests say.
type ClusterAgent struct {
	// image of the agent.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Image string `json:"image,omitempty"`

	// replicas of the agent.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Replicas *int32 `json:"replicas,omitempty"`

	// values is merged over the agent's Deployment as a strategic merge patch of its spec.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	Values *runtime.RawExtension `json:"values,omitempty"`
}

// ClusterStatus is what the manager found at a cluster.
type ClusterStatus struct {
	// observedGeneration is the generation of the spec that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// clusterUID is the UID of the cluster's namespace kube-system, which tells it from every other.
	// +optional
	ClusterUID string `json:"clusterUID,omitempty"`

	// kubernetesVersion is the git version of the cluster's API server, such as "v1.37.2".
	// +optional
	KubernetesVersion string `json:"kubernetesVersion,omitempty"`

	// agentVersion is the version that the agent says it has.
	// +optional
	AgentVersion string `json:"agentVersion,omitempty"`

	// endpoint is what was found at the direct endpoint; absent where there is none.
	// +optional
	Endpoint *ClusterEndpointStatus `json:"endpoint,omitempty"`

	// trustBundle is the digest of the bundle that the agent was given last, as "sha256:" and hex.
	// +optional
	TrustBundle string `json:"trustBundle,omitempty"`

	// conditions say what works and, where something does not, why.
	// +optional
	// +patchMergeKey=type
	// +patchStrategy=merge
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`
}

// ClusterEndpointStatus is what was found at a direct endpoint.
type ClusterEndpointStatus struct {
	// url is the endpoint that was asked.
	// +optional
	URL string `json:"url,omitempty"`

	// reachable says whether this cluster answered there.
	Reachable bool `json:"reachable"`

	// reason says in one word why it is not reachable.
	// +optional
	Reason string `json:"reason,omitempty"`

	// latencyMilliseconds is how long the answer took over an open connection.
	// +optional
	LatencyMilliseconds int64 `json:"latencyMilliseconds,omitempty"`

	// lastProbeTime is when the endpoint was asked last and the answer was another than before.
	// +optional
	LastProbeTime *metav1.Time `json:"lastProbeTime,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true

// ClusterList is a list of Cluster objects.
type ClusterList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the objects.
	Items []Cluster `json:"items"`
}
