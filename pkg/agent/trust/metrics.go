package trust

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var rejections = metrics.NewCounter(&metrics.CounterOpts{
	Namespace:      "loft_agent",
	Name:           "trust_bundle_rejections_total",
	Help:           "Trust bundles that could not be used, so that the one before was kept.",
	StabilityLevel: metrics.ALPHA,
})

func init() { legacyregistry.MustRegister(rejections) }
