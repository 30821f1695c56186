package doors

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/pkg/statuserr"
)

// AgentHeader is on every answer of the agent's door 2.
const AgentHeader = "X-Loft-Agent"

// Route is a path, with everything below it, and who answers there.
type Route struct {
	Path    string
	Handler http.Handler
}

// Routes answers by the first route that fits, and otherwise by Fallback.
type Routes struct {
	Table    []Route
	Fallback http.Handler
}

// ServeHTTP implements http.Handler.
func (t Routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for i := range t.Table {
		if Below(r.URL.Path, t.Table[i].Path) {
			t.Table[i].Handler.ServeHTTP(w, r)
			return
		}
	}
	t.Fallback.ServeHTTP(w, r)
}

// Below says whether path lies below prefix, in whole segments.
func Below(path, prefix string) bool {
	return len(path) >= len(prefix) && path[:len(prefix)] == prefix &&
		(len(path) == len(prefix) || path[len(prefix)] == '/')
}

// Public answers anyone, GET and HEAD alone.
func Public(own http.Handler, refuse statuserr.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		SetCORS(w.Header())
		switch r.Method {
		case http.MethodGet:
			own.ServeHTTP(w, r)
		case http.MethodHead:
			// The server discards the body of an answer to HEAD.
			get := *r
			get.Method = http.MethodGet
			own.ServeHTTP(w, &get)
		default:
			if !AnswerPreflight(w, r) {
				w.Header().Set("Allow", "GET, HEAD")
				refuse(w, r, methodNotAllowed(r))
			}
		}
	})
}

// Nothing answers where nothing is served; hint says where something is.
func Nothing(refuse statuserr.Writer, hint string) http.Handler {
	return WithCORS(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, NotFound(r, hint))
	}))
}

// NotFound is the refusal of a path at which nothing is served; hint says where something is.
func NotFound(r *http.Request, hint string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusNotFound,
		Reason:  metav1.StatusReasonNotFound,
		Message: "nothing is served at " + r.URL.EscapedPath() + "; " + hint,
	}}
}

func methodNotAllowed(r *http.Request) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed,
		Message: r.Method + " is not allowed at " + r.URL.EscapedPath() + "; use GET or HEAD",
	}}
}
