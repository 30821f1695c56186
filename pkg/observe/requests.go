package observe

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/component-base/metrics"

	"loft.sh/agent/pkg/proxy"
)

// Requests observes the requests of one door. It is safe for concurrent use.
type Requests struct {
	ended    *bounded
	inFlight [len(lanes)]metrics.GaugeMetric
	streams  [len(streams)]metrics.GaugeMetric
	duration [len(verbs)]metrics.ObserverMetric
	panics   metrics.CounterMetric
}

// Requests returns an observer of the door of that name that has counted nothing yet. Those of one
// door add up.
func (m *Metrics) Requests(door string) *Requests {
	q := &Requests{ended: newBounded(m.requests, door), panics: m.panics.WithLabelValues(door)}
	for lane, kind := range lanes {
		q.inFlight[lane] = m.inFlight.WithLabelValues(door, kind)
	}
	for i, kind := range streams {
		q.streams[i] = m.openStreams.WithLabelValues(door, kind)
	}
	for i, verb := range verbs {
		q.duration[i] = m.duration.WithLabelValues(door, verb)
	}
	return q
}

// Unread counts a request that was refused with err before anybody knew what it asked for.
func (q *Requests) Unread(err error) {
	code := http.StatusInternalServerError
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		code = int(status.Status().Code)
	}
	q.ended.count(outcome{code: code})
}

// Answer is the answer to one request; the handler writes it.
type Answer struct {
	http.ResponseWriter

	requests *Requests
	info     *request.RequestInfo
	started  time.Time
	code     int
	lane     proxy.Lane
}

// Start counts a request for info as in flight until End. The handler must write to the answer.
func (q *Requests) Start(w http.ResponseWriter, info *request.RequestInfo, lane proxy.Lane) *Answer {
	q.inFlight[lane].Inc()
	if lane != proxy.Short {
		q.streams[streamOf(info)].Inc()
	}
	return &Answer{ResponseWriter: w, requests: q, info: info, started: time.Now(), lane: lane}
}

// End counts the request as what it was. Gone says that its client left in the middle.
func (a *Answer) End(gone bool) {
	switch {
	case a.code != 0:
	case gone:
		a.code = codeGone
	default:
		a.code = http.StatusOK // as net/http does
	}
	a.end()
}

// Panicked counts the request as one that crashed.
func (a *Answer) Panicked() {
	a.requests.panics.Inc()
	if a.code == 0 {
		a.code = http.StatusInternalServerError
	}
	a.end()
}

func (a *Answer) end() {
	q, verb := a.requests, VerbOf(a.info.Verb)
	q.inFlight[a.lane].Dec()
	if a.lane == proxy.Short {
		q.duration[verb].Observe(a.Duration().Seconds())
	} else {
		q.streams[streamOf(a.info)].Dec()
	}
	o := outcome{verb: verb, code: a.code}
	if a.info.IsResourceRequest {
		o.resource = subject{a.info.APIGroup, a.info.Resource, a.info.Subresource}
	}
	q.ended.count(o)
}

// Code is the status that was answered; 0: none yet.
func (a *Answer) Code() int { return a.code }

// Duration is the time since Start.
func (a *Answer) Duration() time.Duration { return time.Since(a.started) }

// WriteHeader implements http.ResponseWriter.
func (a *Answer) WriteHeader(code int) {
	// The headers of interim answers (1xx) are no answer.
	if a.code == 0 && code >= http.StatusOK {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (a *Answer) Write(p []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Hijack implements http.Hijacker: a connection is taken over to switch protocols.
func (a *Answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	if err == nil && a.code == 0 {
		a.code = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// Unwrap lets http.ResponseController reach everything else.
func (a *Answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
