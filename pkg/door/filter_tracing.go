package door

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/component-base/tracing"
)

// withTracing makes a span for each request of an authenticated client, a child of the client's own
// if it sent one, and the parent of what the API server makes (W3C Trace Context). Without a
// provider clients' trace contexts pass through.
//
// Other than kube-apiserver it believes a client that says its trace is sampled: strangers do not
// get here, and spans beyond what can be sent are dropped.
func (c *Config) withTracing(next http.Handler) http.Handler {
	if c.TracerProvider == nil {
		return next
	}
	tracer := c.TracerProvider.Tracer("loft.sh/agent/pkg/door")
	propagators := tracing.Propagators()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := TargetFrom(r.Context())
		carrier := propagation.HeaderCarrier(r.Header)
		ctx, span := tracer.Start(propagators.Extract(r.Context(), carrier), spanName(target),
			trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
				attribute.String("loft.door", c.Name),
				attribute.String("http.request.method", r.Method),
				attribute.String("url.path", r.URL.Path),
				attribute.String("k8s.group", target.Info.APIGroup),
				attribute.String("k8s.resource", target.Info.Resource),
				attribute.String("k8s.subresource", target.Info.Subresource),
				attribute.String("k8s.namespace", target.Info.Namespace),
				attribute.String("enduser.id", target.user),
				attribute.String("audit-id", audit.GetAuditIDTruncated(r.Context())),
			))
		defer func() {
			code := target.answer.Code()
			span.SetAttributes(attribute.Int("http.response.status_code", code))
			if code >= http.StatusInternalServerError {
				span.SetStatus(codes.Error, "")
			}
			span.End()
		}()
		// What is broken in the client's headers must not stand beside what we send.
		r.Header.Del("Traceparent")
		r.Header.Del("Tracestate")
		propagators.Inject(ctx, carrier)
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// spanName has few values, as it should: names of objects stand in the attributes.
func spanName(target *Target) string {
	if !target.Info.IsResourceRequest {
		return target.Info.Verb
	}
	name := target.Info.Verb + " " + target.Info.Resource
	if target.Info.Subresource != "" {
		name += "/" + target.Info.Subresource
	}
	return name
}
