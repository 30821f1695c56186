package direct

import (
	"k8s.io/component-base/metrics/legacyregistry"

	"loft.sh/agent/pkg/observe"
)

// Prefixes of the doors. ProxyPrefix is resource "kubernetes", name "cluster", subresource
// "proxy" of the aggregated API.
const (
	ClusterPrefix = "/kubernetes/cluster"
	ProxyPrefix   = "/apis/cluster.loft.sh/v1/kubernetes/cluster/proxy"
)

// Names of the doors in metrics, logs and spans.
const (
	Direct     = "direct"
	Aggregated = "aggregated"
)

// Program is how refusals call the agent.
const Program = "agent"

// Hint says where the door is to who knocks elsewhere.
const Hint = "the cluster's API is at " + ClusterPrefix + "/"

// Metrics are those of both doors.
var Metrics = observe.NewMetrics("loft_agent", Program)

func init() {
	legacyregistry.MustRegister(Metrics.All()...)
	Metrics.Begin()
}
