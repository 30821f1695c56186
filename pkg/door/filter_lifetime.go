package door

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/klog/v2"

	"loft.sh/agent/pkg/proxy"
	"loft.sh/agent/pkg/proxy/streams"
)

// withLifetime ties requests that stay open to the access that their caller has, and to the program.
func (c *Config) withLifetime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := TargetFrom(r.Context())
		if target.Lane == proxy.Short {
			next.ServeHTTP(w, r)
			return
		}
		caller := CallerFrom(r.Context())
		stream := &lifetime{caller: caller, target: target, kind: streamKind(target.Info)}
		if target.Lane == proxy.Stream {
			stream.w = w
		}
		ctx, release := c.Lifetimes.track(r.Context(), stream)
		defer release()
		defer func() {
			if end := streams.EndOf(ctx); end != nil {
				klog.FromContext(ctx).V(2).Info("Stream ended", "user", caller.User.GetName(), "reason", end.Message, "cause", end.Err,
					"auditID", audit.GetAuditIDTruncated(ctx))
			}
		}()
		// Something may have changed between authentication and track.
		if end := c.Access.Still(caller, target); end != nil {
			c.refuseEnded(w, r, end)
			return
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// refuseEnded answers a request whose stream would end at once.
func (c *Config) refuseEnded(w http.ResponseWriter, r *http.Request, end *streams.End) {
	if end.Code == http.StatusUnauthorized && end.Err != nil {
		c.refuseToken(w, r, end.Err)
		return
	}
	c.refuse(w, r, &apierrors.StatusError{ErrStatus: *end.Status()})
}
