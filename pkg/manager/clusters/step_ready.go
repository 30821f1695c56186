package clusters

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/installer"
	"loft.sh/agent/pkg/manager/netfault"
)

// notReadyPeriod is how often an agent is asked that is not ready.
const notReadyPeriod = 5 * time.Second

const agentPath = "/apis/cluster.loft.sh/v1/kubernetes/cluster"

var apiServices = schema.GroupVersionResource{Group: apiregistrationv1.GroupName, Version: "v1", Resource: "apiservices"}

// ready asks the aggregator and the agent itself. That the agent is not ready yet is no failure.
func (c *Controller) ready(ctx context.Context, p *pass) error {
	reason, message := c.askAgent(ctx, p)
	if reason != "" {
		p.result.Again = min(notReadyPeriod, c.ResyncPeriod)
		p.set(storagev1.ConditionAgentReady, metav1.ConditionFalse, reason, message)
		return nil
	}
	p.set(storagev1.ConditionAgentReady, metav1.ConditionTrue, "Ready", "the agent serves requests")
	return nil
}

// askAgent returns why the agent is not ready; no reason: it is.
func (c *Controller) askAgent(ctx context.Context, p *pass) (reason, message string) {
	live, err := p.host.Client.Resource(apiServices).Get(ctx, installer.APIService, metav1.GetOptions{})
	if err != nil {
		_, message := netfault.Of(err)
		return "APIServiceUnknown", "read APIService " + installer.APIService + ": " + message
	}
	var registered apiregistrationv1.APIService
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &registered); err != nil {
		return "APIServiceUnknown", "APIService " + installer.APIService + " is none"
	}
	if reason := unavailable(&registered); reason != "" {
		return "APIServiceUnavailable", "the cluster's API server does not reach the agent: " + reason
	}
	answer, err := p.host.Raw.Get().AbsPath(agentPath).DoRaw(ctx)
	if err != nil {
		_, message := netfault.Of(err)
		return "AgentUnreachable", "the agent does not answer by way of the cluster's API server: " + message
	}
	var agent clusterv1.Kubernetes
	if err := json.Unmarshal(answer, &agent); err != nil {
		return "AgentUnreachable", "what answers for the agent is something else"
	}
	p.status.AgentVersion = agent.Status.AgentVersion
	if uid := agent.Status.HostUID; uid != "" && uid != p.host.UID {
		return "AnotherCluster", "the agent that answers is in another cluster, whose UID is " + uid
	}
	ready := meta.FindStatusCondition(agent.Status.Conditions, clusterv1.ConditionReady)
	if ready == nil || ready.Status != metav1.ConditionTrue {
		reason, message = "AgentNotReady", "the agent does not say that it is ready"
		if ready != nil {
			message = "the agent is not ready: " + ready.Reason + ": " + ready.Message
		}
	}
	return reason, message
}

// unavailable returns why an APIService is not available; empty: it is. The aggregator's own message
// is another each time, so its reason must do.
func unavailable(s *apiregistrationv1.APIService) string {
	for _, condition := range s.Status.Conditions {
		if condition.Type == apiregistrationv1.Available {
			if condition.Status == apiregistrationv1.ConditionTrue {
				return ""
			}
			return cmp.Or(condition.Reason, "it says no reason")
		}
	}
	return "it has not tried yet"
}
