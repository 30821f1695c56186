package door

import (
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/endpoints/request"

	"loft.sh/agent/pkg/identity"
	"loft.sh/agent/pkg/proxy"
)

// forward is the last stop: it only translates what the filters found into a call.
func (c *Config) forward(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	target := TargetFrom(ctx)
	user, ok := request.UserFrom(ctx)
	if target == nil || target.Forwarder == nil || !ok {
		c.refuse(w, r, apierrors.NewInternalError(errors.New("request reached the proxy without a target or a user")))
		return
	}
	defer func() {
		if p := recover(); p != nil {
			abort(target, p)
		}
	}()
	// The API server says itself how its answer may be cached; ours would stand beside it.
	w.Header().Del("Cache-Control")
	target.Forwarder.Forward(w, r, proxy.Call{
		User:     user,
		URL:      target.URL,
		Lane:     target.Lane,
		Stream:   c.streamSettings(target),
		Prefix:   target.Prefix,
		Base:     target.Base,
		Deferred: c.deferred(r),
		Backend:  target.Info.IsResourceRequest && target.Info.Subresource == "proxy",
		ClientIP: clientIP(r),
		AuditID:  string(audit.GetAuditIDTruncated(ctx)),
	})
}

// deferred is whom the client asks to impersonate where this door does not decide about it.
func (c *Config) deferred(r *http.Request) http.Header {
	if c.Impersonation != nil {
		return nil
	}
	return identity.Defer(r.Header)
}

// abort notes that the answer ended in the middle, which the reverse proxy says by panicking with
// http.ErrAbortHandler. Audit would record that as a crash of ours, so withTarget, outside of it,
// passes it on to the server.
func abort(target *Target, panicked any) {
	if err, ok := panicked.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		panic(panicked)
	}
	target.aborted = true
}
