package lanes

import (
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var duration = metrics.NewHistogramVec(&metrics.HistogramOpts{
	Namespace:      "loft_manager",
	Name:           "cluster_sync_duration_seconds",
	Help:           "Time that work on one connected cluster took, by kind of work and result: ok, dead (the cluster or its endpoint does not answer) or error.",
	Buckets:        []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
	StabilityLevel: metrics.ALPHA,
}, []string{"work", "result"})

func init() { legacyregistry.MustRegister(duration) }

func observe(work string, took time.Duration, result Result, err error) {
	outcome := "ok"
	switch {
	case result.Dead:
		outcome = "dead"
	case err != nil:
		outcome = "error"
	}
	duration.WithLabelValues(work, outcome).Observe(took.Seconds())
}
