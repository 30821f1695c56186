package signingkeys

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var (
	keysTrusted = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace:      "loft_manager",
		Name:           "signing_keys",
		Help:           "Keys whose direct endpoint tokens are trusted, those of the future too.",
		StabilityLevel: metrics.ALPHA,
	})
	keysUnreadable = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace:      "loft_manager",
		Name:           "signing_keys_unreadable",
		Help:           "1 where the Secret of the signing keys cannot be read as it is now, so that those known before are kept; else 0.",
		StabilityLevel: metrics.ALPHA,
	})
)

func init() { legacyregistry.MustRegister(keysTrusted, keysUnreadable) }
