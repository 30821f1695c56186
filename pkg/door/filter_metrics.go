package door

import (
	"errors"
	"net/http"
	"runtime/debug"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/klog/v2"
)

// accessLogLevel is the verbosity from which on every request is logged.
const accessLogLevel = 3

// withMetrics counts and times every request that was read, refused or not, and logs it at
// verbosity 3.
func (c *Config) withMetrics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := TargetFrom(r.Context())
		answer := c.requests.Start(w, target.Info, target.Lane)
		target.answer = answer
		defer func() {
			if p := recover(); p != nil {
				c.crashed(target, r, p)
				return
			}
			answer.End(target.aborted)
			if log := klog.V(accessLogLevel); log.Enabled() {
				c.logAccess(log, target, r)
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

// crashed ends a request whose handler panicked. apiserver's own filter would log a client that
// left in the same way, and the query with it.
func (c *Config) crashed(target *Target, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		target.aborted = true
		target.answer.End(true)
		return
	}
	klog.ErrorS(nil, "Request crashed", "door", c.Name, "method", r.Method, "path", r.URL.Path,
		"auditID", audit.GetAuditIDTruncated(r.Context()), "panic", p, "stack", string(debug.Stack()))
	if target.answer.Code() == 0 {
		c.refuse(target.answer, r, apierrors.NewInternalError(errors.New("the request crashed in the "+c.Program+", whose log says more")))
	} else {
		// Half an answer must not be taken for a whole one.
		target.aborted = true
	}
	target.answer.Panicked()
}

// logAccess logs no query: a command, or a token, may stand in it.
func (c *Config) logAccess(log klog.Verbose, target *Target, r *http.Request) {
	log.InfoS("Request", "door", c.Name, "method", r.Method, "path", r.URL.Path, "user", target.user,
		"code", target.answer.Code(), "duration", target.answer.Duration(), "auditID", audit.GetAuditIDTruncated(r.Context()))
}
