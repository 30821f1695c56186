package authn

import (
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/request"

	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/statuserr"
)

type callerKey struct{}

type failureKey struct{}

// Filter authenticates requests in front of the generic API server's chain, which has no answer but 401.
type Filter struct {
	Authenticator door.Authenticator
	Clients       doors.ClientAddresses
	// Resolver reads requests for the record of refusals.
	Resolver request.RequestInfoResolver
	// AuditSink and AuditPolicy may be nil: nothing is recorded then.
	AuditSink   audit.Sink
	AuditPolicy audit.PolicyRuleEvaluator
	Refuse      statuserr.Writer
}

// With lets next answer whoever authenticates. Refusals are audited.
func (f *Filter) With(next http.Handler) http.Handler {
	refused := genericapifilters.WithFailedAuthenticationAudit(http.HandlerFunc(f.refuse), f.AuditSink, f.AuditPolicy)
	refused = genericapifilters.WithRequestInfo(refused, f.Resolver)
	refused = genericapifilters.WithRequestReceivedTimestamp(refused)
	refused = genericapifilters.WithAuditInit(refused)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.Clients.Settle(r, false)
		// It is ours to say.
		r.Header.Del("Audit-Id")
		caller, err := f.Authenticator.Authenticate(r)
		if err != nil {
			refused.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), failureKey{}, err)))
			return
		}
		ctx := context.WithValue(r.Context(), callerKey{}, &caller)
		if !caller.Expiry.IsZero() {
			// Watches end with what was shown for them.
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, caller.Expiry)
			defer cancel()
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func (f *Filter) refuse(w http.ResponseWriter, r *http.Request) {
	err, _ := r.Context().Value(failureKey{}).(error)
	if apierrors.IsUnauthorized(err) || apierrors.IsTooManyRequests(err) {
		// Strangers get no connection to keep: it is how rapid resets are made (CVE-2023-44487).
		w.Header().Set("Connection", "close")
	}
	f.Refuse(w, r, err)
}

// FromFilter is the authenticator for a chain behind Filter: it repeats what Filter found out.
func FromFilter() authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		caller, ok := r.Context().Value(callerKey{}).(*door.Caller)
		if !ok {
			return nil, false, errors.New("the request did not come through the door")
		}
		return &authenticator.Response{User: caller.User}, true, nil
	})
}
