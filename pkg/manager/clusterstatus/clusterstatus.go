// Package clusterstatus writes the status of Clusters, each part by who found it out.
//
// What surprises:
//   - Each part has a field manager of its own and is applied server-side, so that parts that are
//     written at one moment, or by two managers, never undo each other.
//   - What is there already is not written again, and so wakes nobody up.
//   - Events are told of changes of a condition's status or reason. That something is not known is none.
package clusterstatus

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"

	storagev1 "loft.sh/agent/apis/storage/v1"
	applyv1 "loft.sh/agent/generated/applyconfiguration/storage/v1"
	storageclient "loft.sh/agent/generated/clientset/versioned/typed/storage/v1"
)

// maxMessage bounds a condition's message, in bytes.
const maxMessage = 2048

// Part is what one finder of facts owns of a status.
type Part struct {
	// manager is its field manager.
	manager string
	// conditions are the types that it owns.
	conditions []string
	// fields copies the other fields that it owns.
	fields func(to, from *storagev1.ClusterStatus)
}

// The parts.
var (
	// Agent is about the cluster and the agent in it.
	Agent = Part{
		manager:    "loft-manager",
		conditions: []string{storagev1.ConditionConnected, storagev1.ConditionAgentDeployed, storagev1.ConditionAgentReady},
		fields: func(to, from *storagev1.ClusterStatus) {
			to.ObservedGeneration, to.ClusterUID = from.ObservedGeneration, from.ClusterUID
			to.KubernetesVersion, to.AgentVersion = from.KubernetesVersion, from.AgentVersion
		},
	}
	// Trust is about the trust bundle.
	Trust = Part{
		manager:    "loft-manager-trust",
		conditions: []string{storagev1.ConditionTrustBundleSynced},
		fields:     func(to, from *storagev1.ClusterStatus) { to.TrustBundle = from.TrustBundle },
	}
	// Access is about people's bindings.
	Access = Part{
		manager:    "loft-manager-access",
		conditions: []string{storagev1.ConditionAccessSynced},
		fields:     func(_, _ *storagev1.ClusterStatus) {},
	}
	// Endpoint is about the direct endpoint.
	Endpoint = Part{
		manager:    "loft-manager-endpoint",
		conditions: []string{storagev1.ConditionDirectEndpointReachable},
		fields:     func(to, from *storagev1.ClusterStatus) { to.Endpoint = from.Endpoint },
	}
)

// Writer writes statuses. It may be used by several goroutines.
type Writer struct {
	clusters storageclient.ClusterInterface
	events   events.EventRecorder
	clock    clock.PassiveClock

	lock    sync.Mutex
	written map[types.UID]*storagev1.Cluster
}

// New returns a writer.
func New(clusters storageclient.ClusterInterface, events events.EventRecorder, clock clock.PassiveClock) *Writer {
	return &Writer{clusters: clusters, events: events, clock: clock, written: map[types.UID]*storagev1.Cluster{}}
}

// Mine returns the fields of a part as they are, to be changed and applied.
func (w *Writer) Mine(cluster *storagev1.Cluster, part Part) *storagev1.ClusterStatus {
	mine := &storagev1.ClusterStatus{}
	part.fields(mine, &w.newest(cluster).Status)
	return mine.DeepCopy()
}

// Set puts a condition into wanted. Its time and generation are filled in by Apply.
func Set(wanted *storagev1.ClusterStatus, kind string, status metav1.ConditionStatus, reason, message string) {
	for len(message) > maxMessage {
		_, size := utf8.DecodeLastRuneInString(message)
		message = message[:len(message)-size]
	}
	meta.SetStatusCondition(&wanted.Conditions, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message})
}

// Apply makes a part of the cluster's status what is wanted. A condition of the part that is not
// wanted goes away. Nothing is written where nothing changes.
func (w *Writer) Apply(ctx context.Context, cluster *storagev1.Cluster, part Part, wanted *storagev1.ClusterStatus) error {
	before := w.newest(cluster)
	next := &storagev1.ClusterStatus{}
	part.fields(next, wanted)
	next.Conditions = w.stamp(cluster, before, wanted.Conditions)
	now := &storagev1.ClusterStatus{}
	part.fields(now, &before.Status)
	now.Conditions = own(part, before.Status.Conditions)
	if equality.Semantic.DeepEqual(now, next) {
		return nil
	}
	status, err := applyConfiguration(next)
	if err != nil {
		return fmt.Errorf("status of cluster %q: %w", cluster.Name, err)
	}
	applied, err := w.clusters.ApplyStatus(ctx, applyv1.Cluster(cluster.Name).WithUID(cluster.UID).WithStatus(status),
		metav1.ApplyOptions{FieldManager: part.manager, Force: true})
	if err != nil {
		return fmt.Errorf("status of cluster %q: %w", cluster.Name, err)
	}
	w.remember(applied)
	w.tell(cluster, now.Conditions, next.Conditions)
	return nil
}

// Forget drops what is remembered of a cluster.
func (w *Writer) Forget(cluster types.UID) {
	w.lock.Lock()
	defer w.lock.Unlock()
	delete(w.written, cluster)
}

// newest returns the cluster as it was written last, where a cache has not seen that yet.
func (w *Writer) newest(cluster *storagev1.Cluster) *storagev1.Cluster {
	w.lock.Lock()
	defer w.lock.Unlock()
	if written := w.written[cluster.UID]; written != nil && newer(written, cluster) {
		return written
	}
	return cluster
}

func (w *Writer) remember(cluster *storagev1.Cluster) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if written := w.written[cluster.UID]; written == nil || newer(cluster, written) {
		w.written[cluster.UID] = cluster
	}
}

func newer(a, b *storagev1.Cluster) bool {
	order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && order > 0
}

// stamp keeps the time of conditions whose status stays.
func (w *Writer) stamp(cluster, before *storagev1.Cluster, wanted []metav1.Condition) []metav1.Condition {
	var stamped []metav1.Condition
	for _, condition := range wanted {
		condition.ObservedGeneration = cluster.Generation
		condition.LastTransitionTime = metav1.NewTime(w.clock.Now()).Rfc3339Copy()
		if known := meta.FindStatusCondition(before.Status.Conditions, condition.Type); known != nil && known.Status == condition.Status {
			condition.LastTransitionTime = known.LastTransitionTime
		}
		stamped = append(stamped, condition)
	}
	return stamped
}

// own returns the conditions of a part, in its order.
func own(part Part, all []metav1.Condition) []metav1.Condition {
	var conditions []metav1.Condition
	for _, kind := range part.conditions {
		if condition := meta.FindStatusCondition(all, kind); condition != nil {
			conditions = append(conditions, *condition)
		}
	}
	return conditions
}

// applyConfiguration has the same JSON, in which what is empty is absent: it is owned by nobody then.
func applyConfiguration(status *storagev1.ClusterStatus) (*applyv1.ClusterStatusApplyConfiguration, error) {
	data, err := json.Marshal(status)
	if err != nil {
		return nil, err
	}
	configuration := applyv1.ClusterStatus()
	return configuration, json.Unmarshal(data, configuration)
}

// tell sends an event for each condition that has become another.
func (w *Writer) tell(cluster *storagev1.Cluster, before, after []metav1.Condition) {
	for _, condition := range after {
		known := meta.FindStatusCondition(before, condition.Type)
		if known != nil && known.Status == condition.Status && known.Reason == condition.Reason {
			continue
		}
		switch condition.Status {
		case metav1.ConditionTrue:
			w.Event(cluster, corev1.EventTypeNormal, condition.Reason, condition.Type, condition.Message)
		case metav1.ConditionFalse:
			w.Event(cluster, corev1.EventTypeWarning, condition.Reason, condition.Type, condition.Message)
		}
	}
}

// Event tells of something that happened to a cluster.
func (w *Writer) Event(cluster *storagev1.Cluster, kind, reason, action, message string) {
	regarding := cluster.DeepCopy()
	// Objects of a cache do not say what they are.
	regarding.SetGroupVersionKind(storagev1.SchemeGroupVersion.WithKind("Cluster"))
	w.events.Eventf(regarding, nil, kind, reason, action, "%s: %s", action, message)
}
