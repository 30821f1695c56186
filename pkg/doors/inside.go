package doors

import (
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"loft.sh/agent/pkg/statuserr"
)

// Inside hands requests below prefix to next, as what they are without it. A path that could be
// authorised as one thing and served as another is refused: one with ".", ".." or empty segments, or
// an encoded slash.
func Inside(prefix string, next http.Handler, refuse statuserr.Writer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner, err := inside(r.URL, prefix)
		if err != nil {
			refuse(w, r, err)
			return
		}
		request := *r
		request.URL, request.RequestURI = inner, inner.RequestURI()
		next.ServeHTTP(w, &request)
	})
}

func inside(u *url.URL, prefix string) (*url.URL, error) {
	escaped, ok := strings.CutPrefix(u.EscapedPath(), prefix)
	path, same := strings.CutPrefix(u.Path, prefix)
	if !ok || !same {
		return nil, apierrors.NewBadRequest("the path must spell " + prefix + " without escapes")
	}
	segments := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	for i, segment := range segments {
		decoded, err := url.PathUnescape(segment)
		if err != nil || decoded == "." || decoded == ".." || strings.Contains(decoded, "/") || segment == "" && i < len(segments)-1 {
			return nil, apierrors.NewBadRequest("the path must not contain empty segments, \".\", \"..\" or an encoded slash")
		}
	}
	if path == "" {
		path, escaped = "/", "/"
	}
	return &url.URL{Path: path, RawPath: escaped, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}, nil
}
