package tokens

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

const (
	resultIssued  = "issued"
	resultRefused = "refused"
	resultFailed  = "failed"
)

var (
	requests = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace:      "loft_manager",
		Name:           "direct_token_requests_total",
		Help:           "Requests for a direct endpoint token, by result: issued, refused (what was asked for is not allowed or makes no sense) or failed.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"result"})
	revocationCount = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace:      "loft_manager",
		Name:           "direct_token_revocations",
		Help:           "Revocations of direct endpoint tokens, users, teams and access keys in the trust bundles.",
		StabilityLevel: metrics.ALPHA,
	})
)

func init() {
	legacyregistry.MustRegister(requests, revocationCount)
	// A rate needs the 0 before the first.
	for _, result := range []string{resultIssued, resultRefused, resultFailed} {
		requests.WithLabelValues(result)
	}
}

func count(err error) {
	result := resultIssued
	switch {
	case err == nil:
	case apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err):
		result = resultFailed
	default:
		result = resultRefused
	}
	requests.WithLabelValues(result).Inc()
}
