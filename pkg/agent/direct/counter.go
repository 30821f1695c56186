package direct

import (
	"net/http"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/observe"
)

var activity = metrics.NewCounterVec(&metrics.CounterOpts{
	Namespace:      "loft_agent",
	Name:           "activity_requests_total",
	Help:           "Allowed requests by door and verb of the inner request.",
	StabilityLevel: metrics.ALPHA,
}, []string{"door", "verb"})

func init() { legacyregistry.MustRegister(activity) }

// Counter is a door.Recorder that counts.
type Counter struct {
	// counters are by verb.
	counters []metrics.CounterMetric
}

// NewCounter returns a Counter for the door of that name.
func NewCounter(door string) *Counter {
	c := &Counter{}
	for _, verb := range observe.Verbs() {
		c.counters = append(c.counters, activity.WithLabelValues(door, verb.String()))
	}
	return c
}

// Record implements door.Recorder.
func (c *Counter) Record(r *http.Request) {
	c.counters[observe.VerbOf(door.TargetFrom(r.Context()).Info.Verb)].Inc()
}
