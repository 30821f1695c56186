package door

import (
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// below returns the URL that u names below prefix; the prefix itself names "/".
func below(u *url.URL, prefix string) (*url.URL, bool) {
	path, ok := strings.CutPrefix(u.Path, prefix)
	if !ok || path != "" && path[0] != '/' {
		return nil, false
	}
	inner := &url.URL{Path: path, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}
	if path == "" {
		inner.Path = "/"
	}
	if u.RawPath != "" {
		// A prefix that is spelled with escapes is not the prefix.
		if inner.RawPath, ok = strings.CutPrefix(u.RawPath, prefix); !ok {
			return nil, false
		}
	}
	return inner, true
}

// refuseDotSegments refuses "." and "..", however they are spelled: proxies and servers fold them
// at different moments, so a path could be authorised as one thing and served as another.
func refuseDotSegments(escaped string) error {
	if !strings.Contains(escaped, ".") && !strings.Contains(escaped, "%2") {
		return nil
	}
	for segment := range strings.SplitSeq(escaped, "/") {
		if decoded, err := url.PathUnescape(segment); err != nil || isDots(decoded) {
			return apierrors.NewBadRequest("the path must not contain the segments \".\" or \"..\"")
		}
	}
	return nil
}

// isDots looks at what an encoded slash would separate, too.
func isDots(decoded string) bool {
	for part := range strings.SplitSeq(decoded, "/") {
		if part == "." || part == ".." {
			return true
		}
	}
	return false
}

// refuseAmbiguous refuses encoded slashes and empty segments, but for what follows the "proxy"
// subresource, which the API server passes on unread.
func refuseAmbiguous(escaped string, info *request.RequestInfo) error {
	segments := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	read := len(segments)
	if info.IsResourceRequest && info.Subresource == "proxy" {
		read = proxyTail(segments)
	}
	for i, segment := range segments[:read] {
		if segment == "" && i < len(segments)-1 {
			return apierrors.NewBadRequest("the path must not contain empty segments (\"//\")")
		}
		if strings.Contains(segment, "%2f") || strings.Contains(segment, "%2F") {
			return apierrors.NewBadRequest("the path must not contain an encoded slash (\"%2F\")")
		}
	}
	return nil
}

// proxyTail is the index behind the literal segment "proxy" of …/pods|services|nodes/NAME/proxy/….
func proxyTail(segments []string) int {
	for i := 2; i < len(segments); i++ {
		switch segments[i-2] {
		case "pods", "services", "nodes":
			if segments[i] == "proxy" {
				return i + 1
			}
		}
	}
	return len(segments)
}
