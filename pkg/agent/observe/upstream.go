package observe

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"loft.sh/agent/pkg/proxy"
)

var upstreamErrors = metrics.NewCounterVec(&metrics.CounterOpts{
	Namespace:      namespace,
	Name:           "upstream_errors_total",
	Help:           "Forwarded requests that got no answer of the API server, by kind: timeout, dial, tls, reset, credential (the agent's own), protocol or other.",
	StabilityLevel: metrics.ALPHA,
}, []string{"kind"})

func init() {
	legacyregistry.MustRegister(upstreamErrors)
	// A rate needs the 0 before the first error.
	for _, kind := range proxy.Failures() {
		upstreamErrors.WithLabelValues(string(kind))
	}
}

// UpstreamFailed counts a request that the API server did not answer.
func UpstreamFailed(kind proxy.Failure) { upstreamErrors.WithLabelValues(string(kind)).Inc() }
