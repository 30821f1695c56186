package gateway

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"loft.sh/agent/pkg/observe"
)

// Program is how refusals call the manager.
const Program = "manager"

const namespace = "loft_gateway"

// Metrics are those of the gateway's doors.
var Metrics = observe.NewMetrics(namespace, Program)

var (
	agentMissing = metrics.NewCounter(&metrics.CounterOpts{
		Namespace:      namespace,
		Name:           "agent_unavailable_total",
		Help:           "Requests that no agent has answered, though the cluster's API server was reached.",
		StabilityLevel: metrics.ALPHA,
	})

	clustersByState = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace:      namespace,
		Name:           "clusters",
		Help:           "Clusters by state: connected, which says that there is a usable kubeconfig, or unconnected.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"state"})
)

func init() {
	legacyregistry.MustRegister(Metrics.All()...)
	legacyregistry.MustRegister(agentMissing, clustersByState)
	Metrics.Begin()
}

func countClusters(clusters map[string]*connected) {
	unconnected := 0
	for _, c := range clusters {
		if c.forwarder == nil {
			unconnected++
		}
	}
	clustersByState.WithLabelValues("connected").Set(float64(len(clusters) - unconnected))
	clustersByState.WithLabelValues("unconnected").Set(float64(unconnected))
}
