package authn

import (
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// Methods and results of attempts.
const (
	methodKey      = "access-key"
	methodProvider = "oidc"
	methodReview   = "token-review"
	methodNone     = "none"

	resultAuthenticated = "authenticated"
	resultRefused       = "refused"
	resultUnchecked     = "unchecked"
	resultLimited       = "limited"
)

var attempts = metrics.NewCounterVec(&metrics.CounterOpts{
	Namespace: "loft_manager",
	Name:      "authentication_attempts_total",
	Help: "Requests at the outer doors, by what was asked last about their credential (access-key, oidc, token-review, none) and result: " +
		"authenticated, refused, unchecked (it could not be found out) or limited (too many failures from the address).",
	StabilityLevel: metrics.ALPHA,
}, []string{"method", "result"})

func init() { legacyregistry.MustRegister(attempts) }

func count(method, result string) { attempts.WithLabelValues(method, result).Inc() }
