package listen

import (
	"k8s.io/component-base/metrics"
)

// Metrics are those of all listeners of a program.
type Metrics struct {
	refused               *metrics.Counter
	certificateRejections *metrics.Counter
	certificateExpiry     *metrics.GaugeVec
}

// NewMetrics names metrics with namespace before. They count from when All are registered.
func NewMetrics(namespace string) *Metrics {
	return &Metrics{
		refused: metrics.NewCounter(&metrics.CounterOpts{
			Namespace:      namespace,
			Name:           "refused_connections_total",
			Help:           "Connections closed without an answer because --max-connections was reached.",
			StabilityLevel: metrics.ALPHA,
		}),
		certificateRejections: metrics.NewCounter(&metrics.CounterOpts{
			Namespace:      namespace,
			Name:           "serving_certificate_rejections_total",
			Help:           "Serving certificates that could not be used, so that the one before was kept.",
			StabilityLevel: metrics.ALPHA,
		}),
		certificateExpiry: metrics.NewGaugeVec(&metrics.GaugeOpts{
			Namespace:      namespace,
			Name:           "serving_certificate_expiration_timestamp_seconds",
			Help:           "When the serving certificate in use expires, in Unix seconds, by listener: inner or direct.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"listener"}),
	}
}

// All are to be registered, once.
func (m *Metrics) All() []metrics.Registerable {
	return []metrics.Registerable{m.refused, m.certificateRejections, m.certificateExpiry}
}

// connectionRefused counts where there is something to count with.
func (m *Metrics) connectionRefused() {
	if m != nil {
		m.refused.Inc()
	}
}
