package controller

import (
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

var (
	sleeping = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: "loft_agent", Subsystem: "sleep_mode", Name: "sleeping_spaces",
		Help:           "Namespaces that sleep, by type of sleep. Only the replica that leads knows.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"type"})
	transitions = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "loft_agent", Subsystem: "sleep_mode", Name: "transitions_total",
		Help:           "Namespaces put to sleep, woken and deleted, by action and reason.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"action", "reason"})
	saved = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "loft_agent", Subsystem: "sleep_mode", Name: "pod_hours_saved_total",
		Help:           "Replicas given back on waking times the hours that their namespace slept.",
		StabilityLevel: metrics.ALPHA,
	})
	wakeLatency = metrics.NewHistogram(&metrics.HistogramOpts{
		Namespace: "loft_agent", Subsystem: "sleep_mode", Name: "wake_duration_seconds",
		Help:           "Time from what woke a namespace, to a second, until all its replicas were given back.",
		Buckets:        []float64{.5, 1, 2, 5, 10, 20, 30, 60, 120, 300},
		StabilityLevel: metrics.ALPHA,
	})
)

func init() { legacyregistry.MustRegister(sleeping, transitions, saved, wakeLatency) }

// count counts a namespace under the type of its sleep.
func (c *Controller) count(name string, state annotations.Namespace) {
	kind := ""
	if state.Phase != annotations.Awake {
		kind = state.Status.SleepType
		if kind == "" {
			kind = "unknown"
		}
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	if before := c.sleeping[name]; before != kind {
		if before != "" {
			sleeping.WithLabelValues(before).Dec()
		}
		if kind != "" {
			sleeping.WithLabelValues(kind).Inc()
		}
	}
	if kind == "" {
		delete(c.sleeping, name)
	} else {
		c.sleeping[name] = kind
	}
}

// forget ends counting a namespace.
func (c *Controller) forget(name string) { c.count(name, annotations.Namespace{}) }

// endMetrics ends what only a leader knows.
func (c *Controller) endMetrics() { sleeping.Reset() }

// observeWake observes a waking that ended at now.
func observeWake(began annotations.Namespace, now time.Time, replicas int64) {
	if began.Status.SleepingSince != 0 {
		slept := now.Sub(time.Unix(began.Status.SleepingSince, 0))
		saved.Add(float64(replicas) * max(0, slept.Hours()))
	}
	wakeLatency.Observe(max(0, now.Sub(time.Unix(began.Status.LastActivity, 0)).Seconds()))
}
