package trust

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var (
	rejections = metrics.NewCounter(&metrics.CounterOpts{
		Namespace:      "loft_agent",
		Name:           "trust_bundle_rejections_total",
		Help:           "Trust bundles that could not be used, so that the one before was kept.",
		StabilityLevel: metrics.ALPHA,
	})
	loadedTimestamp = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace:      "loft_agent",
		Name:           "trust_bundle_loaded_timestamp_seconds",
		Help:           "When the trust bundle in force was loaded, in Unix seconds; 0: there is none.",
		StabilityLevel: metrics.ALPHA,
	})
	trustedKeys = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace:      "loft_agent",
		Name:           "trust_bundle_keys",
		Help:           "Public keys in the trust bundle in force.",
		StabilityLevel: metrics.ALPHA,
	})
)

func init() { legacyregistry.MustRegister(rejections, loadedTimestamp, trustedKeys) }
