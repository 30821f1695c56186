package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
	"loft.sh/agent/pkg/agent/sleepmode/workload"
)

// maxMessage bounds a condition's message, in bytes: it stands in an annotation.
const maxMessage = 1024

// setCondition says that something is wrong; an empty message: that it is not any more. What never
// was wrong is not mentioned, since every namespace would have to be written for it.
func setCondition(conditions []metav1.Condition, kind, reason, message string, now time.Time) []metav1.Condition {
	conditions = slices.Clone(conditions)
	condition := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: cut(message), LastTransitionTime: metav1.NewTime(now)}
	if message == "" {
		if meta.FindStatusCondition(conditions, kind) == nil {
			return conditions
		}
		condition.Status, condition.Reason = metav1.ConditionTrue, "Settled"
	}
	meta.SetStatusCondition(&conditions, condition)
	return conditions
}

func cut(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + "…"
}

// configured says which annotations cannot be read.
func configured(conditions []metav1.Condition, faults []*annotations.Error, now time.Time) []metav1.Condition {
	messages := make([]string, 0, len(faults))
	for _, fault := range faults {
		messages = append(messages, fault.Error())
	}
	return setCondition(conditions, clusterv1.ConditionConfigured, "AnnotationMalformed", strings.Join(messages, "; "), now)
}

// settled says which workloads could not be put to sleep or woken.
func settled(conditions []metav1.Condition, failures []workload.Failure, now time.Time) []metav1.Condition {
	messages := make([]string, 0, len(failures))
	for _, failure := range failures {
		messages = append(messages, fmt.Sprintf("%s: %v", failure.Object, failure.Err))
	}
	return setCondition(conditions, clusterv1.ConditionWorkloadsSettled, "WorkloadFailed", strings.Join(messages, "; "), now)
}

func isSettled(conditions []metav1.Condition) bool {
	return !meta.IsStatusConditionFalse(conditions, clusterv1.ConditionWorkloadsSettled)
}

// tellFaults has an event written when other annotations cannot be read than before.
func (c *Controller) tellFaults(namespace *corev1.Namespace, s subject, state annotations.Namespace) {
	c.tellChange(namespace, clusterv1.ConditionConfigured, s.Status.Conditions, state.Status.Conditions)
}

// tellFailures has an event written when other workloads fail than before.
func (c *Controller) tellFailures(namespace *corev1.Namespace, before, after annotations.Namespace) {
	c.tellChange(namespace, clusterv1.ConditionWorkloadsSettled, before.Status.Conditions, after.Status.Conditions)
}

func (c *Controller) tellChange(namespace *corev1.Namespace, kind string, before, after []metav1.Condition) {
	was, is := meta.FindStatusCondition(before, kind), meta.FindStatusCondition(after, kind)
	if is != nil && is.Status == metav1.ConditionFalse && (was == nil || was.Message != is.Message) {
		c.Events.Event(reference(namespace), corev1.EventTypeWarning, is.Reason, is.Message)
	}
}
