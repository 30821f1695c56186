package clusters

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/bindings"
	"loft.sh/agent/pkg/manager/clusterstatus"
	"loft.sh/agent/pkg/manager/lanes"
)

// syncAccess makes the bindings in one cluster what the ClusterAccess objects say.
func (c *Controller) syncAccess(ctx context.Context, name string) (lanes.Result, error) {
	cluster := c.cluster(name)
	if cluster == nil || cluster.DeletionTimestamp != nil {
		return lanes.Result{}, nil
	}
	wanted := c.status.Mine(cluster, clusterstatus.Access)
	accesses := c.accesses()
	result, reason, err := c.bind(ctx, cluster, accesses)
	if err != nil {
		clusterstatus.Set(wanted, storagev1.ConditionAccessSynced, metav1.ConditionFalse, reason, err.Error())
	} else {
		clusterstatus.Set(wanted, storagev1.ConditionAccessSynced, metav1.ConditionTrue, "Bound", "the cluster's role bindings say what the ClusterAccess objects say")
	}
	c.bound.synced(name, accesses, err)
	return c.report(ctx, cluster, clusterstatus.Access, wanted, result, err)
}

// bind returns a reason with each error.
func (c *Controller) bind(ctx context.Context, cluster *storagev1.Cluster, accesses []*storagev1.ClusterAccess) (lanes.Result, string, error) {
	host, err := c.hosts.Reach(ctx, cluster, c.ResyncPeriod)
	if err != nil {
		return lanes.Result{Dead: true}, reasonNotConnected, fmt.Errorf("not connected: %w", err)
	}
	_, err = bindings.Sync(ctx, host.Client, bindings.Wanted(cluster.Name, accesses, people{c}))
	var refused *bindings.Error
	if errors.As(err, &refused) {
		return lanes.Result{}, refused.Reason, err
	}
	return lanes.Result{Again: c.ResyncPeriod}, bindings.ReasonBindingFailed, err
}

// people knows who there is from the informers.
type people struct{ *Controller }

func (p people) HasUser(name string) bool {
	user, err := p.Informers.Users().Lister().Get(name)
	return err == nil && !user.Spec.Disabled
}

func (p people) HasTeam(name string) bool {
	team, err := p.Informers.Teams().Lister().Get(name)
	return err == nil && !team.Spec.Disabled
}

// report writes a part of the status, also where the time for the work is over, and returns result and
// the errors of both.
func (c *Controller) report(ctx context.Context, cluster *storagev1.Cluster, part clusterstatus.Part, wanted *storagev1.ClusterStatus, result lanes.Result, err error) (lanes.Result, error) {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		// The manager ends; what was cut short says nothing about the cluster.
		return result, context.Cause(ctx)
	}
	bounded, stop := context.WithTimeout(context.WithoutCancel(ctx), c.RequestTimeout)
	defer stop()
	return result, errors.Join(err, c.status.Apply(bounded, cluster, part, wanted))
}
