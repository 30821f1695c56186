package door

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan  = "00f067aa0ba902b7"
	traceparent = "00-" + traceID + "-" + clientSpan + "-01"
)

// traced sends one request with header through a door that traces with provider, nil for one that
// does not, and returns the headers that the API server got.
func traced(t *testing.T, provider *sdktrace.TracerProvider, header http.Header) http.Header {
	t.Helper()
	received := make(chan http.Header, 1)
	host := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { received <- r.Header })
	d := newDoor(t, host, allow, func(c *Config) {
		if provider != nil {
			c.TracerProvider = provider
		}
	})
	header.Set("Authorization", "Bearer "+d.token)
	if code := d.try(t, http.MethodGet, testPrefix+"/api/v1/namespaces/team-a/pods/p/log", header); code != http.StatusOK {
		t.Fatalf("code %d", code)
	}
	d.audit.last(t)
	return <-received
}

func TestTraceContextPassesThroughWhereNothingIsTraced(t *testing.T) {
	sent := http.Header{"Traceparent": {traceparent}, "Tracestate": {"vendor=1"}, "Baggage": {"k=v"}}
	got := traced(t, nil, sent.Clone())
	for name := range sent {
		if diff := cmp.Diff(sent[name], got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSpanStandsBetweenClientAndAPIServer(t *testing.T) {
	for _, tc := range []struct {
		name       string
		header     http.Header
		wantTrace  string
		wantParent string
		wantState  []string
	}{
		{"the client traces", http.Header{"Traceparent": {traceparent}, "Tracestate": {"vendor=1"}}, traceID, clientSpan, []string{"vendor=1"}},
		{"the client does not trace", http.Header{}, "", "", nil},
		{"the client's context is broken", http.Header{"Traceparent": {"00-zz-01"}, "Tracestate": {"vendor=1"}}, "", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spans := tracetest.NewSpanRecorder()
			provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
			got := traced(t, provider, tc.header)
			if len(spans.Ended()) != 1 {
				t.Fatalf("%d spans, want 1", len(spans.Ended()))
			}
			span := spans.Ended()[0]
			context := span.SpanContext()
			if tc.wantTrace != "" && context.TraceID().String() != tc.wantTrace {
				t.Errorf("trace %s, want the client's %s", context.TraceID(), tc.wantTrace)
			}
			if parent := span.Parent(); parent.IsValid() != (tc.wantParent != "") || tc.wantParent != "" && parent.SpanID().String() != tc.wantParent {
				t.Errorf("parent %s, want %q", parent.SpanID(), tc.wantParent)
			}
			want := []string{"00-" + context.TraceID().String() + "-" + context.SpanID().String() + "-01"}
			if diff := cmp.Diff(want, got["Traceparent"]); diff != "" {
				t.Errorf("Traceparent (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantState, got["Tracestate"]); diff != "" {
				t.Errorf("Tracestate (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSpanSaysWhatWasAskedFor(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	traced(t, sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), http.Header{})
	span := spans.Ended()[0]
	if span.Name() != "get pods/log" {
		t.Errorf("name %q", span.Name())
	}
	got := map[attribute.Key]string{}
	for _, a := range span.Attributes() {
		got[a.Key] = a.Value.String()
		if strings.Contains(a.Value.String(), "Bearer") {
			t.Errorf("%s holds a credential", a.Key)
		}
	}
	if len(got["audit-id"]) != len("00000000-0000-0000-0000-000000000000") {
		t.Errorf("audit-id %q", got["audit-id"])
	}
	delete(got, "audit-id")
	want := map[attribute.Key]string{
		"loft.door": "direct", "http.request.method": "GET", "url.path": "/api/v1/namespaces/team-a/pods/p/log",
		"k8s.group": "", "k8s.resource": "pods", "k8s.subresource": "log", "k8s.namespace": "team-a",
		"enduser.id": "loft:user:alice", "http.response.status_code": "200",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
}
