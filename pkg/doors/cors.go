package doors

import "net/http"

// SetCORS allows every page to read an answer, without credentials: a page must hold a token of
// its own to get one.
func SetCORS(h http.Header) {
	h["Access-Control-Allow-Origin"] = []string{"*"}
	h["Access-Control-Allow-Headers"] = []string{"*"}
	h["Access-Control-Allow-Methods"] = []string{"POST, GET, OPTIONS, PUT, DELETE, PATCH"}
	h["Cache-Control"] = []string{"no-cache, private"}
}

// preflight says whether r is a browser's question before the request proper (the Fetch
// standard, section 3.2.2). It carries no credential.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// AnswerPreflight answers r where it is a browser's preflight, and says whether it was one.
func AnswerPreflight(w http.ResponseWriter, r *http.Request) bool {
	if !preflight(r) {
		return false
	}
	// The wildcard does not cover Authorization (the Fetch standard): it must be named.
	w.Header().Add("Access-Control-Allow-Headers", "Authorization")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// WithCORS lets every page read the answers of next, and answers preflights itself.
func WithCORS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		SetCORS(w.Header())
		if !AnswerPreflight(w, r) {
			next.ServeHTTP(w, r)
		}
	})
}
