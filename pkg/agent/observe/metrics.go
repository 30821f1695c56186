package observe

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

const namespace = "loft_agent"

var (
	requestsTotal = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: namespace,
		Name:      "requests_total",
		Help: "Requests that ended, by door, verb, group, resource and subresource of the inner request, and code. " +
			"Resources that the API server has not answered with success yet are \"other\"; code 499 means that the client left before an answer.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"door", "verb", "group", "resource", "subresource", "code"})

	requestDuration = metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace:      namespace,
		Name:           "request_duration_seconds",
		Help:           "Time from the first filter to the end of the answer, by door and verb of the inner request. Requests that stay open are left out.",
		Buckets:        []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		StabilityLevel: metrics.ALPHA,
	}, []string{"door", "verb"})

	requestsInFlight = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace:      namespace,
		Name:           "requests_in_flight",
		Help:           "Requests that are being answered, by door and kind: short, stream (watch, log) or upgrade (exec, attach, port-forward).",
		StabilityLevel: metrics.ALPHA,
	}, []string{"door", "kind"})

	openStreams = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace:      namespace,
		Name:           "open_streams",
		Help:           "Requests that stay open, by door and what they are: watch, log, exec, attach, portforward, proxy or other.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"door", "kind"})

	panicsTotal = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace:      namespace,
		Name:           "handler_panics_total",
		Help:           "Requests that crashed in the agent, by door. Each is a fault of the agent's; the log has its stack.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"door"})
)

func init() {
	legacyregistry.MustRegister(requestsTotal, requestDuration, requestsInFlight, openStreams, panicsTotal)
}
