package clusters

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"loft.sh/agent/pkg/manager/prober"
)

// countPeriod is how often clusters are counted.
const countPeriod = 15 * time.Second

var (
	conditions = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace:      "loft_manager",
		Name:           "cluster_conditions",
		Help:           "Connected clusters by condition and its status, in the manager that leads.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"condition", "status"})
	probes = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace:      "loft_manager",
		Name:           "endpoint_probes_total",
		Help:           "Probes of direct endpoints, by the reason that they came to.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"reason"})
	probeLatency = metrics.NewHistogram(&metrics.HistogramOpts{
		Namespace:      "loft_manager",
		Name:           "endpoint_probe_latency_seconds",
		Help:           "Time that a direct endpoint took to answer a request over an open connection.",
		Buckets:        []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		StabilityLevel: metrics.ALPHA,
	})
)

func init() { legacyregistry.MustRegister(conditions, probes, probeLatency) }

func observeProbe(result prober.Result) {
	probes.WithLabelValues(result.Reason).Inc()
	if result.Latency > 0 {
		probeLatency.Observe(result.Latency.Seconds())
	}
}

// countConditions counts until ctx is done, and counts nothing then: another manager leads.
func (c *Controller) countConditions(ctx context.Context) {
	defer conditions.Reset()
	wait.UntilWithContext(ctx, func(context.Context) {
		conditions.Reset()
		for _, cluster := range c.clusters() {
			for _, condition := range cluster.Status.Conditions {
				conditions.WithLabelValues(condition.Type, string(condition.Status)).Inc()
			}
		}
	}, countPeriod)
}
