package door

import (
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/audit"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/klog/v2"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/bearer"
	"loft.sh/agent/pkg/statuserr"
)

// retryAfterSeconds is for answers that a moment later may be others.
const retryAfterSeconds = 1

// Annotations of an audit record: the jti of a direct endpoint token, and the name of its access key.
const (
	tokenAnnotation     = "cluster.loft.sh/token-id"
	accessKeyAnnotation = "cluster.loft.sh/access-key"
)

// withAuthentication answers 401 where the credential is missing or wrong and 503 where it could
// not be checked. Both are audited.
func (c *Config) withAuthentication(next http.Handler) http.Handler {
	failed := genericapifilters.WithFailedAuthenticationAudit(
		http.HandlerFunc(c.refuseUnauthenticated), c.AuditSink, c.AuditPolicy)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := c.Authenticator.Authenticate(r)
		if err != nil {
			if log := klog.FromContext(r.Context()).V(3); log.Enabled() {
				log.Info("Request refused", "reason", err, "auditID", audit.GetAuditIDTruncated(r.Context()))
			}
			failed.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), failureKey{}, err)))
			return
		}
		r.Header.Del("Authorization")
		auditToken(r.Context(), caller.Token)
		TargetFrom(r.Context()).user = caller.User.GetName()
		next.ServeHTTP(w, r.WithContext(withCaller(r.Context(), &caller)))
	})
}

// auditToken writes down by which direct endpoint token somebody came, and from which access key it is, so
// that whoever reads the record can revoke just these.
func auditToken(ctx context.Context, token *accesstoken.Identity) {
	switch {
	case token == nil:
	case token.AccessKey == "":
		audit.AddAuditAnnotations(ctx, tokenAnnotation, token.ID)
	default:
		audit.AddAuditAnnotations(ctx, tokenAnnotation, token.ID, accessKeyAnnotation, token.AccessKey)
	}
}

type failureKey struct{}

func (c *Config) refuseUnauthenticated(w http.ResponseWriter, r *http.Request) {
	err, _ := r.Context().Value(failureKey{}).(error)
	switch {
	case errors.Is(err, bearer.ErrUnchecked):
		c.refuse(w, r, statuserr.Unavailable("the credential cannot be checked at the moment", retryAfterSeconds))
	case apierrors.IsUnauthorized(err):
		refuseStranger(w)
		c.refuse(w, r, err)
	case apierrors.IsForbidden(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err):
		c.refuse(w, r, err)
	default:
		c.refuseToken(w, r, err)
	}
}

func (c *Config) refuseToken(w http.ResponseWriter, r *http.Request, err error) {
	refuseStranger(w)
	c.refuse(w, r, apierrors.NewUnauthorized(unauthorizedMessage(err)))
}

// refuseStranger lets strangers keep no connection: it is how rapid resets are made (CVE-2023-44487).
func refuseStranger(w http.ResponseWriter) { w.Header().Set("Connection", "close") }

// unauthorizedMessage begins with the API server's own word, which clients look for.
func unauthorizedMessage(err error) string {
	if err == nil {
		return "Unauthorized"
	}
	return "Unauthorized: " + err.Error()
}
