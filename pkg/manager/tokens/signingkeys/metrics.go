package signingkeys

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var keysTrusted = metrics.NewGauge(&metrics.GaugeOpts{
	Namespace:      "loft_manager",
	Name:           "signing_keys",
	Help:           "Keys whose direct endpoint tokens are trusted, those of the future too.",
	StabilityLevel: metrics.ALPHA,
})

func init() { legacyregistry.MustRegister(keysTrusted) }
