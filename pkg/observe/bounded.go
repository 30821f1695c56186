package observe

import (
	"strings"
	"sync"
	"unicode/utf8"

	"k8s.io/component-base/metrics"
)

const (
	// maxResources and maxSeries bound what one door is counted by. A cluster with very many custom
	// resources has some hundreds.
	maxResources = 2000
	maxSeries    = 10_000
	// maxName is the longest name of a group, resource or subresource, in bytes (RFC 1123).
	maxName = 253
)

// subject is what a request is for.
type subject struct{ group, name, subresource string }

// otherResource stands for those that are not counted by name.
var otherResource = subject{name: Other}

// outcome tells the series of one door apart.
type outcome struct {
	resource subject
	verb     Verb
	code     int
}

// bounded counts requests of one door by outcome. It keeps the counters, since to look one up by
// labels costs more than all the rest.
type bounded struct {
	requests *metrics.CounterVec
	door     string

	lock      sync.RWMutex
	series    map[outcome]metrics.CounterMetric
	resources map[subject]struct{}
}

func newBounded(requests *metrics.CounterVec, door string) *bounded {
	return &bounded{requests: requests, door: door, series: map[outcome]metrics.CounterMetric{}, resources: map[subject]struct{}{}}
}

// count counts o; o may hold strings of the request as they are.
func (b *bounded) count(o outcome) {
	b.lock.RLock()
	counter := b.series[o]
	b.lock.RUnlock()
	if counter == nil {
		counter = b.add(o)
	}
	counter.Inc()
}

// add finds or makes the counter of o, or of what stands for o.
func (b *bounded) add(o outcome) metrics.CounterMetric {
	o.code = known(o.code)
	b.lock.Lock()
	defer b.lock.Unlock()
	if !b.admit(o.resource, o.code) || len(b.series) >= maxSeries {
		o.resource = otherResource
	}
	if counter := b.series[o]; counter != nil {
		return counter
	}
	// A copy, since the original would keep the whole URL.
	o.resource = subject{strings.Clone(o.resource.group), strings.Clone(o.resource.name), strings.Clone(o.resource.subresource)}
	counter := b.requests.WithLabelValues(b.door, o.verb.String(), o.resource.group, o.resource.name, o.resource.subresource, codeLabel(o.code))
	b.series[o] = counter
	return counter
}

// admit says whether r is counted by name. An error proves nothing: who may not do a thing is told
// so whether it exists or not.
func (b *bounded) admit(r subject, code int) bool {
	if _, known := b.resources[r]; known || r == (subject{}) {
		return true
	}
	if code < 100 || code >= 400 || len(b.resources) >= maxResources || !r.fits() {
		return false
	}
	b.resources[subject{strings.Clone(r.group), strings.Clone(r.name), strings.Clone(r.subresource)}] = struct{}{}
	return true
}

// fits says whether r can be the values of labels.
func (r subject) fits() bool {
	for _, value := range []string{r.group, r.name, r.subresource} {
		if len(value) > maxName || !utf8.ValidString(value) {
			return false
		}
	}
	return true
}
