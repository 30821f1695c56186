package agent

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"loft.sh/agent/pkg/agent/direct"
	"loft.sh/agent/pkg/statuserr"
)

// route is a path, with everything below it, and who answers there.
type route struct {
	path    string
	handler http.Handler
}

// routes answers by the first route that fits, and otherwise by fallback.
type routes struct {
	table    []route
	fallback http.Handler
}

// ServeHTTP implements http.Handler.
func (t routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for i := range t.table {
		if direct.Below(r.URL.Path, t.table[i].path) {
			t.table[i].handler.ServeHTTP(w, r)
			return
		}
	}
	t.fallback.ServeHTTP(w, r)
}

// innerRoutes are the doors of the inner listener.
func innerRoutes(door2, api http.Handler) http.Handler {
	return routes{
		table:    []route{{direct.ProxyPrefix, door2}},
		fallback: api,
	}
}

// outerRoutes are the doors of the outer listeners; own answers health and version.
func outerRoutes(own, door1 http.Handler, serializer runtime.NegotiatedSerializer) http.Handler {
	refuse := statuserr.NewWriter(serializer)
	public := public(own, refuse)
	return routes{
		table: []route{
			{direct.ClusterPrefix, door1},
			{"/healthz", public},
			{"/livez", public},
			{"/readyz", public},
			{"/version", public},
		},
		fallback: nothing(refuse),
	}
}

// public answers anyone, GET and HEAD alone.
func public(own http.Handler, refuse statuserr.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		direct.SetCORS(w.Header())
		switch r.Method {
		case http.MethodGet:
			own.ServeHTTP(w, r)
		case http.MethodHead:
			// The server discards the body of an answer to HEAD.
			get := *r
			get.Method = http.MethodGet
			own.ServeHTTP(w, &get)
		default:
			if !direct.AnswerPreflight(w, r) {
				w.Header().Set("Allow", "GET, HEAD")
				refuse(w, r, methodNotAllowed(r))
			}
		}
	})
}

func nothing(refuse statuserr.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		direct.SetCORS(w.Header())
		if !direct.AnswerPreflight(w, r) {
			refuse(w, r, direct.NotFound(r))
		}
	})
}

func methodNotAllowed(r *http.Request) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed,
		Message: r.Method + " is not allowed at " + r.URL.EscapedPath() + "; use GET or HEAD",
	}}
}
