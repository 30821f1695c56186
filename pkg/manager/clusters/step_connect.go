package clusters

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/clusterstatus"
	"loft.sh/agent/pkg/manager/hosts"
	"loft.sh/agent/pkg/manager/lanes"
)

// reasonNotConnected stands in conditions about a cluster that is not reached.
const reasonNotConnected = "NotConnected"

const notConnected = "the cluster is not reached; the condition Connected says why"

// pass is one look at a cluster and its agent.
type pass struct {
	cluster *storagev1.Cluster
	host    *hosts.Host
	// status is the part that is written at the end.
	status *storagev1.ClusterStatus
	result lanes.Result
}

func (p *pass) set(kind string, status metav1.ConditionStatus, reason, message string) {
	clusterstatus.Set(p.status, kind, status, reason, message)
}

// step does one thing of a pass. An error ends the pass, after its condition has been set; it is
// written, and the pass done again.
type step func(ctx context.Context, p *pass) error

// steps are those of a cluster that is not being deleted, in order.
func (c *Controller) steps() []step { return []step{c.connect, c.install, c.ready} }

// syncAgent looks at one cluster.
func (c *Controller) syncAgent(ctx context.Context, name string) (lanes.Result, error) {
	cluster := c.cluster(name)
	if cluster == nil {
		return lanes.Result{}, nil
	}
	if cluster.DeletionTimestamp != nil {
		return c.remove(ctx, cluster)
	}
	cluster, err := c.withFinalizer(ctx, cluster)
	if err != nil {
		return lanes.Result{}, err
	}
	p := &pass{cluster: cluster, status: c.status.Mine(cluster, clusterstatus.Agent), result: lanes.Result{Again: c.ResyncPeriod}}
	p.status.ObservedGeneration = cluster.Generation
	for _, do := range c.steps() {
		if err = do(ctx, p); err != nil {
			break
		}
	}
	return c.report(ctx, cluster, clusterstatus.Agent, p.status, p.result, err)
}

// connect finds out who answers, which is needed for everything else.
func (c *Controller) connect(ctx context.Context, p *pass) error {
	first := p.status.ClusterUID == ""
	host, err := c.hosts.Reach(ctx, p.cluster, 0)
	if err != nil {
		reason, message := reasonOf(err)
		p.result.Dead = true
		p.set(storagev1.ConditionConnected, metav1.ConditionFalse, reason, message)
		for _, kind := range []string{storagev1.ConditionAgentDeployed, storagev1.ConditionAgentReady} {
			p.set(kind, metav1.ConditionUnknown, reasonNotConnected, notConnected)
		}
		return err
	}
	p.host = host
	p.status.ClusterUID, p.status.KubernetesVersion = host.UID, host.Version
	p.set(storagev1.ConditionConnected, metav1.ConditionTrue, "Reached", "the cluster's API server answers")
	wasConnected := meta.IsStatusConditionTrue(p.cluster.Status.Conditions, storagev1.ConditionConnected)
	if first || !wasConnected {
		c.trust.Add(p.cluster.Name)
		c.access.Add(p.cluster.Name)
		c.endpoint.Add(p.cluster.Name)
	}
	return nil
}

// reasonOf words why a cluster was not reached.
func reasonOf(err error) (reason, message string) {
	var known *hosts.Error
	if errors.As(err, &known) {
		return known.Reason, known.Message
	}
	return "Interrupted", "the look at the cluster was interrupted"
}

// clusterIsDead says by its status whether a cluster was not reached last.
func clusterIsDead(cluster *storagev1.Cluster) bool {
	return meta.IsStatusConditionFalse(cluster.Status.Conditions, storagev1.ConditionConnected)
}
