// Package view shows namespaces as spaces and as configurations of sleep mode.
//
// What surprises: resource version and UID are the namespace's, so a configuration read here and
// written back is checked against the namespace; and what an annotation says that cannot be read is
// left out here and told by a condition.
package view

import (
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
	"loft.sh/agent/pkg/agent/sleepmode/decision"
)

// ObjectsKey holds the manifests of a space, as an annotation.
const ObjectsKey = "loft.sh/objects"

// Config is the configuration of sleep mode of a namespace at a time.
func Config(namespace *corev1.Namespace, now time.Time) *clusterv1.SleepModeConfig {
	state, err := annotations.ReadNamespace(namespace.Annotations)
	config := &clusterv1.SleepModeConfig{
		ObjectMeta: metav1.ObjectMeta{
			Name: clusterv1.SleepModeConfigName, Namespace: namespace.Name, UID: namespace.UID,
			ResourceVersion: namespace.ResourceVersion, CreationTimestamp: namespace.CreationTimestamp,
		},
		Spec: state.Spec, Status: state.Status,
	}
	thirty, seven := decision.Slept(decision.Subject{Namespace: state, Now: now, Created: namespace.CreationTimestamp.Time})
	config.Status.SleptLastThirtyDays, config.Status.SleptLastSevenDays = &thirty, &seven
	if err = errors.Join(err); err != nil && meta.FindStatusCondition(config.Status.Conditions, clusterv1.ConditionConfigured) == nil {
		// The controller says the same in a moment.
		meta.SetStatusCondition(&config.Status.Conditions, metav1.Condition{
			Type: clusterv1.ConditionConfigured, Status: metav1.ConditionFalse, Reason: "AnnotationMalformed", Message: err.Error(),
			LastTransitionTime: metav1.NewTime(now),
		})
	}
	return config
}

// Space is a namespace as a space at a time.
func Space(namespace *corev1.Namespace, now time.Time) *clusterv1.Space {
	space := &clusterv1.Space{
		ObjectMeta: *namespace.ObjectMeta.DeepCopy(),
		Spec: clusterv1.SpaceSpec{
			User: namespace.Labels[annotations.UserKey], Team: namespace.Labels[annotations.TeamKey],
			Objects: namespace.Annotations[ObjectsKey], Finalizers: namespace.Spec.Finalizers,
		},
		Status: clusterv1.SpaceStatus{Phase: namespace.Status.Phase, SleepModeConfig: Config(namespace, now)},
	}
	delete(space.Annotations, ObjectsKey)
	space.ManagedFields = nil
	switch {
	case space.Spec.User != "":
		space.Status.Owner = &clusterv1.SpaceOwner{User: &clusterv1.EntityInfo{Name: space.Spec.User}}
	case space.Spec.Team != "":
		space.Status.Owner = &clusterv1.SpaceOwner{Team: &clusterv1.EntityInfo{Name: space.Spec.Team}}
	}
	return space
}
