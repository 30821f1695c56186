package observe

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
)

// configFile writes a TracingConfiguration with lines and returns its path.
func configFile(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tracing.yaml")
	content := append([]string{"apiVersion: apiserver.config.k8s.io/v1beta1", "kind: TracingConfiguration"}, lines...)
	if err := os.WriteFile(path, []byte(strings.Join(content, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTracingOptions(t *testing.T) {
	tests := []struct {
		name, file string
		// want are words of the error; none: it is good.
		want []string
	}{
		{"none", "", nil},
		{"good", configFile(t, "endpoint: localhost:4317", "samplingRatePerMillion: 100"), nil},
		{"absent", "/absent/tracing.yaml", []string{"--tracing-config-file", "/absent/tracing.yaml"}},
		{"unknown field", configFile(t, "sampling: 1"), []string{"--tracing-config-file", "sampling"}},
		{"too many", configFile(t, "samplingRatePerMillion: 1000001"), []string{"--tracing-config-file", "samplingRatePerMillion", "one million"}},
		{"no endpoint", configFile(t, "endpoint: ftp://x y"), []string{"--tracing-config-file", "endpoint"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := &TracingOptions{ConfigFile: tt.file}
			errs := o.Validate()
			if (len(errs) > 0) != (tt.want != nil) {
				t.Fatalf("errors: %v, want %q", errs, tt.want)
			}
			for _, word := range tt.want {
				if !strings.Contains(errs[0].Error(), word) {
					t.Errorf("%q does not name %q", errs[0], word)
				}
			}
		})
	}
}

func TestNothingIsTracedByDefault(t *testing.T) {
	if provider, err := NewTracingOptions().NewProvider(t.Context(), "loft-test", ""); provider != nil || err != nil {
		t.Errorf("provider %v, error %v", provider, err)
	}
}

// receiver takes spans as a collector does.
type receiver struct {
	collector.UnimplementedTraceServiceServer

	received chan *collector.ExportTraceServiceRequest
}

func (r *receiver) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.received <- request
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestSpansReachTheCollectorUnderTheAgentsName(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, spans := grpc.NewServer(), &receiver{received: make(chan *collector.ExportTraceServiceRequest, 1)}
	collector.RegisterTraceServiceServer(server, spans)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	o := &TracingOptions{ConfigFile: configFile(t, "endpoint: "+listener.Addr().String(), "samplingRatePerMillion: 1000000")}
	provider, err := o.NewProvider(t.Context(), "loft-test", "this-one")
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("test").Start(t.Context(), "get pods")
	span.End()
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := (<-spans.received).GetResourceSpans()[0]
	attributes := map[string]string{}
	for _, a := range got.GetResource().GetAttributes() {
		attributes[a.GetKey()] = a.GetValue().GetStringValue()
	}
	if attributes["service.name"] != "loft-test" || attributes["service.instance.id"] != "this-one" {
		t.Errorf("resource %v", attributes)
	}
	if name := got.GetScopeSpans()[0].GetSpans()[0].GetName(); name != "get pods" {
		t.Errorf("span %q", name)
	}
}
