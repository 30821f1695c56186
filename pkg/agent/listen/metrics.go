package listen

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var refusedConnections = metrics.NewCounter(&metrics.CounterOpts{
	Namespace:      "loft_agent",
	Name:           "refused_connections_total",
	Help:           "Connections closed without an answer because --max-connections was reached.",
	StabilityLevel: metrics.ALPHA,
})

func init() { legacyregistry.MustRegister(refusedConnections) }
