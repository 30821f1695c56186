package observe

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/tracing"
	tracingapi "k8s.io/component-base/tracing/api/v1"
)

// TracingOptions says where spans are sent to.
type TracingOptions struct {
	// ConfigFile holds a TracingConfiguration; empty: nothing is traced.
	ConfigFile string
}

// NewTracingOptions returns the default: no tracing.
func NewTracingOptions() *TracingOptions { return &TracingOptions{} }

// AddFlags adds the flag, which kube-apiserver has too.
func (o *TracingOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ConfigFile, "tracing-config-file", o.ConfigFile,
		"File with a TracingConfiguration of apiserver.config.k8s.io: where spans are sent to (OTLP over gRPC), and how many of a million requests "+
			"are traced beside those that their client traces. Default: nothing is traced, and clients' trace contexts pass through.")
}

// Validate returns what is wrong with the file.
func (o *TracingOptions) Validate() []error {
	if _, err := o.read(); err != nil {
		return []error{err}
	}
	return nil
}

func (o *TracingOptions) read() (*tracingapi.TracingConfiguration, error) {
	if o.ConfigFile == "" {
		return nil, nil
	}
	config, err := genericoptions.ReadTracingConfiguration(o.ConfigFile)
	if err != nil {
		return nil, fmt.Errorf("--tracing-config-file: %w", err)
	}
	if errs := tracingapi.ValidateTracingConfiguration(config, feature.DefaultFeatureGate, nil); len(errs) > 0 {
		return nil, fmt.Errorf("--tracing-config-file: %q: %w", o.ConfigFile, errs.ToAggregate())
	}
	return config, nil
}

// NewProvider returns what makes spans, nil where nothing is traced. It must be shut down, so that
// no span is lost. service and instance tell who makes them: apiserver's own options call everybody
// "apiserver", which the API server behind is in the same traces.
func (o *TracingOptions) NewProvider(ctx context.Context, service, instance string) (tracing.TracerProvider, error) {
	config, err := o.read()
	if config == nil || err != nil {
		return nil, err
	}
	provider, err := tracing.NewProvider(ctx, config, nil, []resource.Option{resource.WithAttributes(
		attribute.String("service.name", service), attribute.String("service.instance.id", instance),
	)})
	if err != nil {
		return nil, fmt.Errorf("--tracing-config-file: %q: %w", o.ConfigFile, err)
	}
	return provider, nil
}
