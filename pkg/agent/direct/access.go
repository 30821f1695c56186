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

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/proxy"
	"loft.sh/agent/pkg/proxy/streams"
	"loft.sh/agent/pkg/statuserr"
)

// retryAfterSeconds is for answers that a moment later may be others.
const retryAfterSeconds = 1

// Access lets through who may use the endpoint, within the scope of the token, for as long as the
// token is good.
type Access struct {
	authorizer authorizer.Authorizer
	verifier   *accesstoken.Verifier
	permits    *permits
}

// NewAccess asks the host cluster by authorizer.
func NewAccess(authorizer authorizer.Authorizer, verifier *accesstoken.Verifier) *Access {
	return &Access{authorizer: authorizer, verifier: verifier, permits: newPermits()}
}

// Permit implements door.Access.
func (a *Access) Permit(r *http.Request, caller *door.Caller, target *door.Target) error {
	if target.Prefix == ProxyPrefix && doors.Below(target.URL.Path, ProxyPrefix) {
		// Each turn would cost two connections, and a path has room for a thousand.
		return apierrors.NewBadRequest("the path leads through " + ProxyPrefix + " twice; once is enough")
	}
	if err := a.permit(r, target, caller); err != nil {
		return err
	}
	if caller.Token == nil {
		return nil
	}
	if reason := door.OutOfScope(&caller.Token.Scope, "token", target); reason != "" {
		return forbidden(caller.User, reason)
	}
	return nil
}

// Still implements door.Access: the end of other credentials than tokens is not known.
func (a *Access) Still(caller *door.Caller, _ *door.Target) *streams.End {
	if caller.Token == nil {
		return nil
	}
	if err := a.verifier.Valid(caller.Token); err != nil {
		return tokenEnd(err)
	}
	return nil
}

// Changed implements door.Access.
func (a *Access) Changed() <-chan struct{} { return a.verifier.Changed() }

// permit asks whether the caller may use the endpoint, and remembers a yes for a token: where the
// host cannot be asked the yes before counts, so that direct tokens go on working.
func (a *Access) permit(r *http.Request, target *door.Target, caller *door.Caller) error {
	asked := permit{token: caller.Token, verb: endpointVerb(r, target)}
	if caller.Token == nil {
		return a.authorize(r, caller.User, asked.verb)
	}
	known := a.permits.look(asked, time.Now())
	switch known {
	case freshPermit:
		return nil
	case stalePermit:
		ctx, cancel := context.WithTimeout(r.Context(), permitWait)
		defer cancel()
		r = r.WithContext(ctx)
	}
	err := a.authorize(r, caller.User, asked.verb)
	switch {
	case err == nil:
		a.permits.add(asked, time.Now())
	case known == stalePermit && apierrors.IsServiceUnavailable(err):
		return nil
	default:
		a.permits.remove(asked)
	}
	return err
}

// authorize asks the host cluster. Whatever is not a clear yes is a no; a question that could not
// be asked is neither.
func (a *Access) authorize(r *http.Request, u user.Info, verb string) error {
	decision, reason, err := a.authorizer.Authorize(r.Context(), authorizer.AttributesRecord{
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
func endpointVerb(r *http.Request, target *door.Target) string {
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

// tokenEnd is the end of a stream whose token is not good any more. What it tells fits into a
// WebSocket's Close, 123 bytes, behind the API server's own word, which clients look for.
func tokenEnd(err error) *streams.End {
	end := &streams.End{Code: http.StatusUnauthorized, Reason: metav1.StatusReasonUnauthorized, Err: err}
	var refused *accesstoken.Error
	switch {
	case errors.As(err, &refused) && refused.Reason == accesstoken.ReasonExpired:
		end.Message = "Unauthorized: the token that opened this stream has expired; repeat the command with a new one"
	case errors.As(err, &refused) && refused.Reason == accesstoken.ReasonRevoked:
		end.Message = "Unauthorized: the token that opened this stream was revoked; log in again, then repeat the command"
	default:
		end.Message = "Unauthorized: the token that opened this stream is not trusted any more; log in again, then repeat the command"
	}
	return end
}
