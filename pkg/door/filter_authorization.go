package door

import (
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// withAuthorization lets through who may use the door for what is asked.
func (c *Config) withAuthorization(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller := CallerFrom(r.Context())
		if caller == nil {
			c.refuse(w, r, apierrors.NewInternalError(errors.New("no caller in the context")))
			return
		}
		if err := c.Access.Permit(r, caller, TargetFrom(r.Context())); err != nil {
			c.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}
