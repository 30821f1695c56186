package clusters

import (
	"context"
	"errors"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/installer"
)

// install brings the agent to what spec.agent asks for, unless the manager shall leave it alone.
func (c *Controller) install(ctx context.Context, p *pass) error {
	if ignored(p.cluster) {
		p.set(storagev1.ConditionAgentDeployed, metav1.ConditionUnknown, "AgentIgnored",
			"the annotation "+storagev1.AnnotationIgnoreAgent+" has the manager leave the agent alone")
		return nil
	}
	changed, err := c.installer.Install(ctx, p.host.Client, p.cluster)
	if err != nil {
		reason, message := installer.ReasonApplyFailed, "the agent was not installed in time"
		var known *installer.Error
		if errors.As(err, &known) {
			reason, message = known.Reason, known.Message
		}
		p.set(storagev1.ConditionAgentDeployed, metav1.ConditionFalse, reason, message)
		p.set(storagev1.ConditionAgentReady, metav1.ConditionUnknown, "NotDeployed", "the agent's objects are not as they should be")
		return err
	}
	p.set(storagev1.ConditionAgentDeployed, metav1.ConditionTrue, "Applied", "the agent's objects are in the cluster as they should be")
	if changed {
		// Its namespace may not have been there before.
		c.trust.Add(p.cluster.Name)
		c.access.Add(p.cluster.Name)
	}
	return nil
}

// ignored says whether the manager shall leave the cluster's agent alone.
func ignored(cluster *storagev1.Cluster) bool {
	return cluster.Annotations[storagev1.AnnotationIgnoreAgent] == "true"
}
