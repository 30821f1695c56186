package observe

import (
	"k8s.io/component-base/metrics"

	"loft.sh/agent/pkg/proxy"
)

// Metrics are those of all doors of a program.
type Metrics struct {
	requests       *metrics.CounterVec
	duration       *metrics.HistogramVec
	inFlight       *metrics.GaugeVec
	openStreams    *metrics.GaugeVec
	panics         *metrics.CounterVec
	upstreamErrors *metrics.CounterVec
}

// NewMetrics names metrics with namespace before, and says in their help what program a crash is a
// fault of. They count from when All are registered.
func NewMetrics(namespace, program string) *Metrics {
	return &Metrics{
		requests: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: namespace,
			Name:      "requests_total",
			Help: "Requests that ended, by door, verb, group, resource and subresource of the inner request, and code. " +
				"Resources that the API server has not answered with success yet are \"other\"; code 499 means that the client left before an answer.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"door", "verb", "group", "resource", "subresource", "code"}),
		duration: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Namespace:      namespace,
			Name:           "request_duration_seconds",
			Help:           "Time from the first filter to the end of the answer, by door and verb of the inner request. Requests that stay open are left out.",
			Buckets:        []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
			StabilityLevel: metrics.ALPHA,
		}, []string{"door", "verb"}),
		inFlight: metrics.NewGaugeVec(&metrics.GaugeOpts{
			Namespace:      namespace,
			Name:           "requests_in_flight",
			Help:           "Requests that are being answered, by door and kind: short, stream (watch, log) or upgrade (exec, attach, port-forward).",
			StabilityLevel: metrics.ALPHA,
		}, []string{"door", "kind"}),
		openStreams: metrics.NewGaugeVec(&metrics.GaugeOpts{
			Namespace:      namespace,
			Name:           "open_streams",
			Help:           "Requests that stay open, by door and what they are: watch, log, exec, attach, portforward, proxy or other.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"door", "kind"}),
		panics: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace:      namespace,
			Name:           "handler_panics_total",
			Help:           "Requests that crashed in the " + program + ", by door. Each is a fault of the " + program + "'s; the log has its stack.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"door"}),
		upstreamErrors: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace:      namespace,
			Name:           "upstream_errors_total",
			Help:           "Forwarded requests that got no answer of the API server, by kind: timeout, dial, tls, reset, credential (the " + program + "'s own), protocol or other.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"kind"}),
	}
}

// All are to be registered, once.
func (m *Metrics) All() []metrics.Registerable {
	return []metrics.Registerable{m.requests, m.duration, m.inFlight, m.openStreams, m.panics, m.upstreamErrors}
}

// Begin shows what counts from 0, since a rate needs the 0 before the first error. To be called when
// All are registered.
func (m *Metrics) Begin() {
	for _, kind := range proxy.Failures() {
		m.upstreamErrors.WithLabelValues(string(kind))
	}
}

// UpstreamFailed counts a request that the API server did not answer.
func (m *Metrics) UpstreamFailed(kind proxy.Failure) {
	m.upstreamErrors.WithLabelValues(string(kind)).Inc()
}
