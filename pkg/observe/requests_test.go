package observe

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/component-base/metrics/legacyregistry"

	"loft.sh/agent/pkg/proxy"
)

var testMetrics = NewMetrics("loft_test", "test")

func init() { legacyregistry.MustRegister(testMetrics.All()...) }

// series are the values of all series of a family by their labels; a histogram's is its count.
func series(t *testing.T, family string) map[string]float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		if f.GetName() != family {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, label := range m.GetLabel() {
				labels = append(labels, label.GetName()+"="+label.GetValue())
			}
			found[strings.Join(labels, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return found
}

// change is what do changed in a family.
func change(t *testing.T, family string, do func()) map[string]float64 {
	t.Helper()
	before := series(t, family)
	do()
	changed := map[string]float64{}
	for labels, value := range series(t, family) {
		if value != before[labels] {
			changed[labels] = value - before[labels]
		}
	}
	return changed
}

func info(verb, group, resource, subresource string) *request.RequestInfo {
	return &request.RequestInfo{IsResourceRequest: resource != "", Verb: verb, APIGroup: group, Resource: resource, Subresource: subresource}
}

// answer observes one request from start to end.
func answer(q *Requests, i *request.RequestInfo, code int) {
	a := q.Start(httptest.NewRecorder(), i, proxy.Short)
	if code != 0 {
		a.WriteHeader(code)
	}
	a.End(false)
}

func TestRequestsAreCountedByWhatTheyWere(t *testing.T) {
	tests := []struct {
		name string
		do   func(*Requests)
		want map[string]float64
	}{
		{"a resource that exists", func(q *Requests) { answer(q, info("list", "apps", "deployments", "scale"), 200) },
			map[string]float64{"code=200 door=direct group=apps resource=deployments subresource=scale verb=list": 1}},
		{"refused, of a resource that exists", func(q *Requests) {
			answer(q, info("get", "", "pods", ""), 200)
			answer(q, info("get", "", "pods", ""), 403)
		}, map[string]float64{
			"code=200 door=direct group= resource=pods subresource= verb=get": 1,
			"code=403 door=direct group= resource=pods subresource= verb=get": 1,
		}},
		{"of no resource", func(q *Requests) { answer(q, info("get", "", "", ""), 200) },
			map[string]float64{"code=200 door=direct group= resource= subresource= verb=get": 1}},
		{"a body without a code", func(q *Requests) {
			a := q.Start(httptest.NewRecorder(), info("get", "", "pods", ""), proxy.Short)
			_, _ = a.Write([]byte("{}"))
			a.WriteHeader(http.StatusInternalServerError)
			a.End(false)
		}, map[string]float64{"code=200 door=direct group= resource=pods subresource= verb=get": 1}},
		{"interim answers", func(q *Requests) {
			a := q.Start(httptest.NewRecorder(), info("get", "", "", ""), proxy.Short)
			a.WriteHeader(http.StatusEarlyHints)
			a.WriteHeader(http.StatusTooManyRequests)
			a.End(false)
		}, map[string]float64{"code=429 door=direct group= resource= subresource= verb=get": 1}},
		{"the client left", func(q *Requests) {
			q.Start(httptest.NewRecorder(), info("get", "", "", ""), proxy.Short).End(true)
		}, map[string]float64{"code=499 door=direct group= resource= subresource= verb=get": 1}},
		{"crashed", func(q *Requests) {
			q.Start(httptest.NewRecorder(), info("get", "", "", ""), proxy.Short).Panicked()
		}, map[string]float64{"code=500 door=direct group= resource= subresource= verb=get": 1}},
		{"not read", func(q *Requests) { q.Unread(apierrors.NewBadRequest("dots")) },
			map[string]float64{"code=400 door=direct group= resource= subresource= verb=other": 1}},
		{"not read, who knows why", func(q *Requests) { q.Unread(errors.New("x")) },
			map[string]float64{"code=500 door=direct group= resource= subresource= verb=other": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := change(t, "loft_test_requests_total", func() { tt.do(testMetrics.Requests("direct")) })
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("series (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCrashesAreCounted(t *testing.T) {
	got := change(t, "loft_test_handler_panics_total", func() {
		testMetrics.Requests("aggregated").Start(httptest.NewRecorder(), info("get", "", "", ""), proxy.Short).Panicked()
	})
	if diff := cmp.Diff(map[string]float64{"door=aggregated": 1}, got); diff != "" {
		t.Errorf("panics (-want +got):\n%s", diff)
	}
}

func TestOpenRequestsAreCountedWhileTheyAreOpen(t *testing.T) {
	tests := []struct {
		name       string
		lane       proxy.Lane
		info       *request.RequestInfo
		wantFlight string
		wantStream string
	}{
		{"get", proxy.Short, info("get", "", "pods", ""), "door=aggregated kind=short", ""},
		{"watch", proxy.Stream, info("watch", "", "pods", ""), "door=aggregated kind=stream", "door=aggregated kind=watch"},
		{"watch over WebSocket", proxy.Upgrade, info("watch", "", "pods", ""), "door=aggregated kind=upgrade", "door=aggregated kind=watch"},
		{"log", proxy.Stream, info("get", "", "pods", "log"), "door=aggregated kind=stream", "door=aggregated kind=log"},
		{"exec", proxy.Upgrade, info("create", "", "pods", "exec"), "door=aggregated kind=upgrade", "door=aggregated kind=exec"},
		{"attach", proxy.Upgrade, info("create", "", "pods", "attach"), "door=aggregated kind=upgrade", "door=aggregated kind=attach"},
		{"port-forward", proxy.Upgrade, info("create", "", "pods", "portforward"), "door=aggregated kind=upgrade", "door=aggregated kind=portforward"},
		{"proxy", proxy.Stream, info("get", "", "services", "proxy"), "door=aggregated kind=stream", "door=aggregated kind=proxy"},
		{"anything", proxy.Upgrade, info("get", "", "pods", "made-up"), "door=aggregated kind=upgrade", "door=aggregated kind=other"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a *Answer
			inFlight, streams, durations := map[string]float64{tt.wantFlight: 1}, map[string]float64{}, map[string]float64{}
			if tt.wantStream != "" {
				streams[tt.wantStream] = 1
			} else {
				durations["door=aggregated verb="+tt.info.Verb] = 1
			}
			var gotStreams map[string]float64
			gotFlight := change(t, "loft_test_requests_in_flight", func() {
				gotStreams = change(t, "loft_test_open_streams", func() {
					a = testMetrics.Requests("aggregated").Start(httptest.NewRecorder(), tt.info, tt.lane)
				})
			})
			gotDurations := change(t, "loft_test_request_duration_seconds", func() { a.End(false) })
			for what, pair := range map[string][2]map[string]float64{
				"in flight": {inFlight, gotFlight}, "streams": {streams, gotStreams}, "durations": {durations, gotDurations},
			} {
				if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
			for _, family := range []string{"loft_test_requests_in_flight", "loft_test_open_streams"} {
				for labels, value := range series(t, family) {
					if value != 0 {
						t.Errorf("%s{%s} is %v after the end", family, labels, value)
					}
				}
			}
		})
	}
}

func TestClientCannotMakeNewSeries(t *testing.T) {
	const tries = 1000
	tests := []struct {
		name    string
		request func(i int) (*request.RequestInfo, int)
		want    int
	}{
		{"resources that do not exist", func(i int) (*request.RequestInfo, int) {
			return info("get", fmt.Sprint("group", i), fmt.Sprint("resource", i), ""), http.StatusNotFound
		}, 1},
		{"resources that nobody may see", func(i int) (*request.RequestInfo, int) {
			return info("get", "", fmt.Sprint("resource", i), ""), http.StatusForbidden
		}, 1},
		{"subresources that do not exist", func(i int) (*request.RequestInfo, int) {
			return info("get", "", "pods", fmt.Sprint("sub", i)), http.StatusNotFound
		}, 1},
		{"invented methods", func(i int) (*request.RequestInfo, int) { return info(fmt.Sprint("verb", i), "", "", ""), 200 }, 1},
		{"invented codes of a backend", func(i int) (*request.RequestInfo, int) {
			return info("get", "", "services", "proxy"), 600 + i%400
		}, 1},
		{"broken UTF-8, answered with success", func(i int) (*request.RequestInfo, int) {
			return info("get", "", "\xff"+fmt.Sprint(i), ""), 200
		}, 1},
		{"names without end, answered with success", func(i int) (*request.RequestInfo, int) {
			return info("get", "", strings.Repeat("x", 300)+fmt.Sprint(i), ""), 200
		}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := testMetrics.Requests("direct")
			got := change(t, "loft_test_requests_total", func() {
				for i := range tries {
					answer(q, first(tt.request(i)), second(tt.request(i)))
				}
			})
			if len(got) != tt.want {
				t.Errorf("%d series, want %d: %v", len(got), tt.want, got)
			}
			for labels, count := range got {
				if count != tries {
					t.Errorf("%s counts %v, want %d", labels, count, tries)
				}
			}
		})
	}
}

func first(i *request.RequestInfo, _ int) *request.RequestInfo { return i }
func second(_ *request.RequestInfo, code int) int              { return code }

// A server that somebody owns, such as that of a virtual cluster, may answer anything with success.
func TestServerThatKnowsEveryResourceMakesABoundedNumberOfSeries(t *testing.T) {
	q := testMetrics.Requests("direct")
	got := change(t, "loft_test_requests_total", func() {
		for i := range maxResources + 500 {
			for _, verb := range []string{"get", "list", "watch", "create", "update", "patch"} {
				answer(q, info(verb, "all.example", fmt.Sprint("resource", i), ""), 200)
			}
		}
		// Those that were known before still count by name.
		answer(q, info("get", "all.example", "resource0", ""), 200)
	})
	// Beside the bounded ones there is "other" for each verb.
	if limit := maxSeries + len(verbs); len(got) > limit {
		t.Errorf("%d series, want at most %d", len(got), limit)
	}
	if len(q.ended.resources) > maxResources {
		t.Errorf("%d resources, want at most %d", len(q.ended.resources), maxResources)
	}
	if got["code=200 door=direct group=all.example resource=resource0 subresource= verb=get"] != 2 {
		t.Error("a known resource is not counted by name any more")
	}
}

func TestObservingCostsOneAllocation(t *testing.T) {
	q, i, w := testMetrics.Requests("direct"), info("get", "", "pods", ""), httptest.NewRecorder()
	observe := func() {
		a := q.Start(w, i, proxy.Short)
		a.WriteHeader(http.StatusOK)
		a.End(false)
	}
	if got := testing.AllocsPerRun(1000, observe); got > 1 {
		t.Errorf("%v allocations per request, want 1", got)
	}
}

func BenchmarkObserve(b *testing.B) {
	for name, code := range map[string]int{"known": 200, "unknown": 404} {
		b.Run(name, func(b *testing.B) {
			q, w := testMetrics.Requests("direct"), httptest.NewRecorder()
			i := info("get", "apps", name, "")
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					a := q.Start(w, i, proxy.Short)
					a.code = code
					a.End(false)
				}
			})
		})
	}
}
