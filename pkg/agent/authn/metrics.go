package authn

import (
	"errors"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/bearer"
)

var (
	verifications = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "loft_agent",
		Name:      "token_verifications_total",
		Help: "Bearer tokens looked at as direct endpoint tokens, by result: cached, verified, foreign (not of the bundle's issuer), " +
			"no-bundle, or the reason for which a token of the issuer was refused.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"result"})

	reviews = metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace:      "loft_agent",
		Name:           "token_reviews_total",
		Help:           "Bearer tokens that the host cluster was asked about, by result: authenticated, refused or failed. Answers that are remembered are not asked for.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"result"})

	// Every request of every person counts here, so these are looked up once.
	verifiedCached, verifiedNew metrics.CounterMetric
)

func init() {
	legacyregistry.MustRegister(verifications, reviews)
	// A rate needs the 0 before the first.
	for _, result := range []string{bearer.ResultAuthenticated, bearer.ResultRefused, bearer.ResultFailed} {
		reviews.WithLabelValues(result)
	}
	verifiedCached, verifiedNew = verifications.WithLabelValues("cached"), verifications.WithLabelValues("verified")
}

// CountReview counts what came of asking the host cluster.
func CountReview(result string) { reviews.WithLabelValues(result).Inc() }

// countVerification counts what came of looking at a token.
func countVerification(cached bool, err error) {
	var refused *accesstoken.Error
	switch {
	case err == nil && cached:
		verifiedCached.Inc()
	case err == nil:
		verifiedNew.Inc()
	case errors.Is(err, accesstoken.ErrForeign):
		verifications.WithLabelValues("foreign").Inc()
	case errors.Is(err, accesstoken.ErrNoBundle):
		verifications.WithLabelValues("no-bundle").Inc()
	case errors.As(err, &refused):
		verifications.WithLabelValues(string(refused.Reason)).Inc()
	default:
		verifications.WithLabelValues("other").Inc()
	}
}
