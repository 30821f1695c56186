package direct

import (
	"errors"
	"net/http"

	"k8s.io/apiserver/pkg/audit"
	"k8s.io/klog/v2"

	"loft.sh/agent/pkg/agent/observe"
)

// accessLogLevel is the verbosity from which on every request is logged.
const accessLogLevel = 3

// door is how metrics and logs call the door with prefix.
func door(prefix string) observe.Door {
	if prefix == ProxyPrefix {
		return observe.Aggregated
	}
	return observe.Direct
}

// withMetrics counts and times every request that was read, refused or not, and logs it at
// verbosity 3.
func (c *Config) withMetrics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target := TargetFrom(r.Context())
		answer := c.requests.Start(w, target.Info, target.Lane)
		target.answer = answer
		defer func() {
			if p := recover(); p != nil {
				c.crashed(answer, r, p)
				panic(p)
			}
			answer.End(target.aborted)
			if log := klog.V(accessLogLevel); log.Enabled() {
				logAccess(log, target, r)
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

// crashed says which request it was: the stack that panic recovery logs has no audit ID.
func (c *Config) crashed(answer *observe.Answer, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		answer.End(true)
		return
	}
	answer.Panicked()
	klog.ErrorS(nil, "Request crashed", "door", door(c.Prefix), "method", r.Method, "path", r.URL.Path,
		"auditID", audit.GetAuditIDTruncated(r.Context()))
}

// logAccess logs no query: a command, or a token, may stand in it.
func logAccess(log klog.Verbose, target *Target, r *http.Request) {
	log.InfoS("Request", "door", door(target.Prefix), "method", r.Method, "path", r.URL.Path, "user", target.user,
		"code", target.answer.Code(), "duration", target.answer.Duration(), "auditID", audit.GetAuditIDTruncated(r.Context()))
}
