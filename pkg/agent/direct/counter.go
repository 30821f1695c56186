package direct

import (
	"net/http"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"loft.sh/agent/pkg/agent/observe"
)

var activity = metrics.NewCounterVec(&metrics.CounterOpts{
	Namespace:      "loft_agent",
	Name:           "activity_requests_total",
	Help:           "Allowed requests by door and verb of the inner request.",
	StabilityLevel: metrics.ALPHA,
}, []string{"door", "verb"})

func init() { legacyregistry.MustRegister(activity) }

// Counter is a Recorder that counts.
type Counter struct {
	// counters are by door and verb.
	counters [][]metrics.CounterMetric
}

// NewCounter returns a Counter.
func NewCounter() *Counter {
	c := &Counter{}
	for _, door := range observe.Doors() {
		var row []metrics.CounterMetric
		for _, verb := range observe.Verbs() {
			row = append(row, activity.WithLabelValues(door.String(), verb.String()))
		}
		c.counters = append(c.counters, row)
	}
	return c
}

// Record implements Recorder.
func (c *Counter) Record(r *http.Request) {
	target := TargetFrom(r.Context())
	c.counters[door(target.Prefix)][observe.VerbOf(target.Info.Verb)].Inc()
}
