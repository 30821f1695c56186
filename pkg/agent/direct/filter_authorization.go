package direct

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/klog/v2"

	"loft.sh/agent/pkg/agent/authn"
	"loft.sh/agent/pkg/proxy"
	"loft.sh/agent/pkg/statuserr"
)

// withAuthorization lets through who may use the endpoint, within the scope of the token.
func (c *Config) withAuthorization(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, ok := CallerFrom(r.Context())
		if !ok {
			c.refuse(w, r, apierrors.NewInternalError(errors.New("no caller in the context")))
			return
		}
		target := TargetFrom(r.Context())
		if err := c.permit(r, target, caller); err != nil {
			c.refuse(w, r, err)
			return
		}
		if caller.Token != nil {
			if reason := outOfScope(&caller.Token.Scope, target); reason != "" {
				c.refuse(w, r, forbidden(caller.User, reason))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// permit asks whether the caller may use the endpoint, and remembers a yes for a token: where the
// host cannot be asked the yes before counts, so that direct tokens go on working.
func (c *Config) permit(r *http.Request, target *Target, caller authn.Caller) error {
	asked := permit{token: caller.Token, verb: endpointVerb(r, target)}
	if caller.Token == nil {
		return c.authorize(r, caller.User, asked.verb)
	}
	known := c.permits.look(asked, time.Now())
	switch known {
	case freshPermit:
		return nil
	case stalePermit:
		ctx, cancel := context.WithTimeout(r.Context(), permitWait)
		defer cancel()
		r = r.WithContext(ctx)
	}
	err := c.authorize(r, caller.User, asked.verb)
	switch {
	case err == nil:
		c.permits.add(asked, time.Now())
	case known == stalePermit && apierrors.IsServiceUnavailable(err):
		return nil
	default:
		c.permits.remove(asked)
	}
	return err
}

// authorize asks the host cluster. Whatever is not a clear yes is a no; a question that could not
// be asked is neither.
func (c *Config) authorize(r *http.Request, u user.Info, verb string) error {
	decision, reason, err := c.Authorizer.Authorize(r.Context(), authorizer.AttributesRecord{
		User: u, Verb: verb, APIGroup: "cluster.loft.sh", APIVersion: "v1",
		Resource: "kubernetes", Subresource: "proxy", Name: "cluster", ResourceRequest: true,
	})
	if decision == authorizer.DecisionAllow {
		return nil
	}
	if err != nil {
		klog.FromContext(r.Context()).Error(err, "SubjectAccessReview failed", "auditID", audit.GetAuditIDTruncated(r.Context()))
		return statuserr.Unavailable("the permission to use the endpoint cannot be checked at the moment", retryAfterSeconds)
	}
	audit.AddAuditAnnotations(r.Context(), "authorization.k8s.io/decision", "forbid", "authorization.k8s.io/reason", reason)
	return forbidden(u, fmt.Sprintf("cannot use this endpoint: the permission to %s resource %q named %q in API group %q is missing",
		verb, "kubernetes/proxy", "cluster", "cluster.loft.sh"))
}

func forbidden(u user.Info, why string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusForbidden,
		Reason:  metav1.StatusReasonForbidden,
		Message: fmt.Sprintf("user %q %s", u.GetName(), why),
		Details: &metav1.StatusDetails{Group: "cluster.loft.sh", Kind: "kubernetes", Name: "cluster"},
	}}
}

// endpointVerb is the verb that the aggregator would ask for, by method; but a WebSocket upgrade
// is a GET and may do what a POST does.
func endpointVerb(r *http.Request, target *Target) string {
	if target.Lane == proxy.Upgrade {
		return "create"
	}
	switch r.Method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		return "delete"
	default:
		return "get"
	}
}
