package clusters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/bindings"
	"loft.sh/agent/pkg/manager/clusterstatus"
	"loft.sh/agent/pkg/manager/installer"
	"loft.sh/agent/pkg/manager/lanes"
)

const (
	reasonRemovalFailed = "RemovalFailed"
	reasonLeftBehind    = "AgentLeftBehind"
	actionRemove        = "RemoveAgent"
)

// withFinalizer keeps the Cluster until its agent has been taken out, from before there is one.
func (c *Controller) withFinalizer(ctx context.Context, cluster *storagev1.Cluster) (*storagev1.Cluster, error) {
	if slices.Contains(cluster.Finalizers, storagev1.FinalizerAgent) {
		return cluster, nil
	}
	kept := cluster.DeepCopy()
	kept.Finalizers = append(kept.Finalizers, storagev1.FinalizerAgent)
	updated, err := c.Storage.Clusters().Update(ctx, kept, metav1.UpdateOptions{FieldManager: installer.FieldManager})
	if err != nil {
		return nil, fmt.Errorf("finalizer of cluster %q: %w", cluster.Name, err)
	}
	return updated, nil
}

// remove takes the agent out of a cluster whose Cluster is being deleted, and lets the Cluster go.
func (c *Controller) remove(ctx context.Context, cluster *storagev1.Cluster) (lanes.Result, error) {
	if !slices.Contains(cluster.Finalizers, storagev1.FinalizerAgent) {
		return lanes.Result{}, nil
	}
	if cluster.Status.ClusterUID == "" {
		// It was never reached, or belongs to another Cluster.
		return lanes.Result{}, c.release(ctx, cluster)
	}
	dead, err := c.takeOut(ctx, cluster)
	if err == nil {
		c.status.Event(cluster, corev1.EventTypeNormal, "AgentRemoved", actionRemove, "the agent was taken out of the cluster")
		return lanes.Result{}, c.release(ctx, cluster)
	}
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return lanes.Result{Dead: dead}, err
	}
	if why := c.givesUp(cluster); why != "" {
		c.status.Event(cluster, corev1.EventTypeWarning, reasonLeftBehind, actionRemove,
			"the Cluster goes and whatever there is of its agent stays, since "+why+": "+err.Error())
		return lanes.Result{Dead: dead}, c.release(ctx, cluster)
	}
	wanted := c.status.Mine(cluster, clusterstatus.Agent)
	wanted.ObservedGeneration = cluster.Generation
	message := "the agent cannot be taken out of the cluster: " + err.Error() + ". To delete the Cluster all the same, annotate it with " +
		storagev1.AnnotationForceDelete + "=true"
	if c.RemovalTimeout > 0 {
		message += fmt.Sprintf("; that is done by itself %s after its deletion", c.RemovalTimeout)
	}
	clusterstatus.Set(wanted, storagev1.ConditionAgentDeployed, metav1.ConditionFalse, reasonRemovalFailed, message)
	return c.report(ctx, cluster, clusterstatus.Agent, wanted, lanes.Result{Dead: dead}, err)
}

// takeOut undoes what was done in the cluster.
func (c *Controller) takeOut(ctx context.Context, cluster *storagev1.Cluster) (dead bool, err error) {
	host, err := c.hosts.Reach(ctx, cluster, 0)
	if err != nil {
		return true, err
	}
	if !ignored(cluster) {
		if err := c.installer.Remove(ctx, host.Client); err != nil {
			return false, err
		}
	}
	if err := installer.RemoveTrust(ctx, host.Client); err != nil {
		return false, err
	}
	_, err = bindings.Sync(ctx, host.Client, nil)
	return false, err
}

// givesUp says why the agent is to be left behind; empty: it is not.
func (c *Controller) givesUp(cluster *storagev1.Cluster) string {
	if cluster.Annotations[storagev1.AnnotationForceDelete] == "true" {
		return "it is annotated with " + storagev1.AnnotationForceDelete
	}
	if c.RemovalTimeout > 0 && c.Clock.Since(cluster.DeletionTimestamp.Time) > c.RemovalTimeout {
		return "that failed for " + c.RemovalTimeout.Round(time.Second).String()
	}
	return ""
}

// release lets the Cluster go.
func (c *Controller) release(ctx context.Context, cluster *storagev1.Cluster) error {
	bounded, stop := context.WithTimeout(context.WithoutCancel(ctx), c.RequestTimeout)
	defer stop()
	released := cluster.DeepCopy()
	released.Finalizers = slices.DeleteFunc(released.Finalizers, func(name string) bool { return name == storagev1.FinalizerAgent })
	_, err := c.Storage.Clusters().Update(bounded, released, metav1.UpdateOptions{FieldManager: installer.FieldManager})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("finalizer of cluster %q: %w", cluster.Name, err)
	}
	return nil
}
