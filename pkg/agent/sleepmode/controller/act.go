package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"loft.sh/agent/pkg/agent/sleepmode/annotations"
	"loft.sh/agent/pkg/agent/sleepmode/decision"
	"loft.sh/agent/pkg/agent/sleepmode/workload"
)

// write writes the state of a namespace, and change, where they differ, if the namespace is still the one that is
// known, and returns it as it is then.
func (c *Controller) write(ctx context.Context, namespace *corev1.Namespace, state annotations.Namespace, change annotations.Change) (*corev1.Namespace, error) {
	change.SetState(state)
	change.SetNumber(annotations.LastActivityKey, state.Status.LastActivity)
	if change = change.Against(namespace.Annotations); len(change) == 0 {
		return namespace, nil
	}
	written, err := c.HostClient.CoreV1().Namespaces().Patch(ctx, namespace.Name, types.MergePatchType,
		change.Patch(namespace.ResourceVersion), metav1.PatchOptions{FieldManager: workload.FieldManager})
	if err != nil {
		return nil, fmt.Errorf("write annotations of namespace %s: %w", namespace.Name, err)
	}
	return written, nil
}

// unforced is what a verdict does to settings: waking takes back what forced the sleep.
func unforced(v decision.Verdict) annotations.Change {
	change := annotations.Change{}
	if v.Action == decision.Wake {
		change.Remove(annotations.ForceKey)
		change.Remove(annotations.ForceDurationKey)
	}
	return change
}

// tell has the event of a verdict written.
func (c *Controller) tell(namespace *corev1.Namespace, v decision.Verdict) {
	if v.Warn {
		c.Events.Eventf(reference(namespace), corev1.EventTypeWarning, "DeletionDue",
			"The namespace is deleted after %s unless there is activity", time.Unix(v.State.DeleteAt, 0).UTC().Format(time.RFC3339))
	}
	switch v.Action {
	case decision.Sleep:
		c.Events.Eventf(reference(namespace), corev1.EventTypeNormal, "FallingAsleep", "Falls asleep: %s", v.Message)
	case decision.Wake:
		c.Events.Eventf(reference(namespace), corev1.EventTypeNormal, "WakingUp", "Wakes up: %s", v.Message)
	}
	if v.Action != decision.Nothing {
		transitions.WithLabelValues(string(v.Action), v.Reason).Inc()
	}
}

// delete deletes a namespace, if it is still the one that was decided about.
func (c *Controller) delete(ctx context.Context, namespace *corev1.Namespace, v decision.Verdict) error {
	err := c.HostClient.CoreV1().Namespaces().Delete(ctx, namespace.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &namespace.UID, ResourceVersion: &namespace.ResourceVersion},
	})
	if err != nil {
		return fmt.Errorf("delete namespace %s: %w", namespace.Name, err)
	}
	c.Events.Eventf(reference(namespace), corev1.EventTypeWarning, "Deleted", "Deleted: %s", v.Message)
	transitions.WithLabelValues(string(v.Action), v.Reason).Inc()
	return nil
}

// carryOn does what the phase of a namespace asks for. It returns whether all of it is done.
func (c *Controller) carryOn(ctx context.Context, namespace *corev1.Namespace, v decision.Verdict) (bool, error) {
	state := v.State
	c.count(namespace.Name, state)
	if state.Phase == annotations.Awake || state.Phase == annotations.Asleep && isSettled(state.Status.Conditions) {
		return true, nil
	}
	if err := c.confirm(ctx, namespace, state.Phase); err != nil {
		return false, err
	}
	var result workload.Result
	if state.Phase == annotations.Waking {
		result = c.Workloads.Wake(ctx, namespace.Name)
	} else {
		result = c.Workloads.Sleep(ctx, namespace.Name, state.Spec.DeleteAllPods)
	}
	if ctx.Err() != nil {
		return false, ctx.Err() // the leader ended: the next one goes on
	}
	return c.conclude(ctx, namespace, state, result)
}

// confirm asks the API server for the phase: the cache is a moment behind, and to put to sleep what is
// awake by now would be undone by nobody.
func (c *Controller) confirm(ctx context.Context, namespace *corev1.Namespace, phase annotations.Phase) error {
	current, err := c.HostClient.CoreV1().Namespaces().Get(ctx, namespace.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read namespace %s: %w", namespace.Name, err)
	}
	state, _ := annotations.ReadNamespace(current.Annotations)
	if state.Phase != phase || current.UID != namespace.UID {
		return apierrors.NewConflict(corev1.Resource("namespaces"), namespace.Name, errOutdated)
	}
	return nil
}

var errOutdated = errors.New("its phase has changed")

// conclude writes down how far a pass got. Others wrote to the namespace meanwhile, activity for one:
// what they wrote stays.
func (c *Controller) conclude(ctx context.Context, namespace *corev1.Namespace, began annotations.Namespace, result workload.Result) (bool, error) {
	current, err := c.HostClient.CoreV1().Namespaces().Get(ctx, namespace.Name, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("read namespace %s: %w", namespace.Name, err)
	}
	if current.DeletionTimestamp != nil {
		return true, nil // there is nothing to wake any more
	}
	now := c.Clock.Now()
	// What cannot be read was told already, and isn't written here.
	state, _ := annotations.ReadNamespace(current.Annotations)
	state.Status.Conditions = settled(began.Status.Conditions, result.Failures, now)
	c.tellFailures(namespace, began, state)
	switch {
	case began.Phase == annotations.Waking && state.Phase == annotations.Waking && !result.Failed():
		c.awoke(namespace, began, result, now)
		state = decision.Awoken(state, now)
	case began.Phase == annotations.FallingAsleep && state.Phase == annotations.FallingAsleep:
		state.Phase = annotations.Asleep
	}
	if _, err := c.write(ctx, current, state, annotations.Change{}); err != nil {
		return false, err
	}
	c.count(namespace.Name, state)
	return !result.Failed(), nil
}

// awoke tells that everything is back.
func (c *Controller) awoke(namespace *corev1.Namespace, began annotations.Namespace, result workload.Result, now time.Time) {
	observeWake(began, now, result.Replicas)
	c.Events.Eventf(reference(namespace), corev1.EventTypeNormal, "Awake", "Woke up: %d replicas are back", result.Replicas)
}

// reference is a namespace as what an event is about. The event is in the namespace itself, where its
// people see it.
func reference(namespace *corev1.Namespace) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: namespace.Name, Namespace: namespace.Name, UID: namespace.UID}
}
