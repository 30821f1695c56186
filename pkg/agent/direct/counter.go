package direct

import (
	"net/http"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var activity = metrics.NewCounterVec(&metrics.CounterOpts{
	Namespace:      "loft_agent",
	Name:           "activity_requests_total",
	Help:           "Allowed requests by door and verb of the inner request.",
	StabilityLevel: metrics.ALPHA,
}, []string{"door", "verb"})

func init() { legacyregistry.MustRegister(activity) }

// Counter is a Recorder that counts.
type Counter struct{}

// NewCounter returns a Counter.
func NewCounter() *Counter { return &Counter{} }

// Record implements Recorder.
func (*Counter) Record(r *http.Request) {
	target := TargetFrom(r.Context())
	activity.WithLabelValues(door(target.Prefix), target.Info.Verb).Inc()
}

func door(prefix string) string {
	if prefix == ProxyPrefix {
		return "aggregated"
	}
	return "direct"
}
