package direct

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericfilters "k8s.io/apiserver/pkg/server/filters"

	"loft.sh/agent/pkg/agent/observe"
	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/proxy"
)

// Target is what a request asks for, parsed once.
type Target struct {
	// Prefix is the outer path up to where the inner path begins.
	Prefix string
	// URL is the inner request's path, as it was sent, and query.
	URL *url.URL
	// Info is the API server's reading of the inner request.
	Info *request.RequestInfo
	// Lane is how it is to be carried.
	Lane proxy.Lane
	// LongRunning requests have no deadline.
	LongRunning bool

	// aborted is set where the answer ended in the middle; see abort.
	aborted bool
	// user is the name of who authenticated, for the log.
	user string
	// answer is what withMetrics observes.
	answer *observe.Answer
}

// The API server's own settings, so that both read a request alike.
var (
	infoFactory = &request.RequestInfoFactory{
		APIPrefixes:          sets.NewString("api", "apis"),
		GrouplessAPIPrefixes: sets.NewString("api"),
	}
	longRunning = genericfilters.BasicLongRunningRequestCheck(
		sets.NewString("watch"),
		sets.NewString("attach", "exec", "proxy", "log", "portforward"),
	)
)

// parseTarget reads r below prefix. Errors are API status errors: 404 for another prefix, 400 for
// a path whose meaning would depend on who reads it and for an upgrade that is not passed on.
func parseTarget(r *http.Request, prefix string) (*Target, error) {
	if err := refuseDotSegments(r.URL.EscapedPath()); err != nil {
		return nil, err
	}
	inner, ok := below(r.URL, prefix)
	if !ok {
		return nil, doors.NotFound(r, Hint)
	}
	upgrade, err := upgradeAsked(r.Header)
	if err != nil {
		return nil, err
	}
	innerRequest := *r
	innerRequest.URL = inner
	info, err := infoFactory.NewRequestInfo(&innerRequest)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	if err := refuseAmbiguous(inner.EscapedPath(), info); err != nil {
		return nil, err
	}
	t := &Target{Prefix: prefix, URL: inner, Info: info, LongRunning: longRunning(&innerRequest, info)}
	t.Lane = lane(upgrade, t.LongRunning)
	return t, nil
}

func lane(upgrade, longRunning bool) proxy.Lane {
	switch {
	case upgrade:
		return proxy.Upgrade
	case longRunning:
		return proxy.Stream
	default:
		return proxy.Short
	}
}

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

// upgradeAsked says whether r wants to switch protocols. Only what the API server speaks is
// passed on: "h2c" would tunnel requests past every filter.
func upgradeAsked(h http.Header) (bool, error) {
	if !httpguts.HeaderValuesContainsToken(h["Connection"], "upgrade") {
		return false, nil
	}
	values := h["Upgrade"]
	if len(values) == 1 && (strings.EqualFold(values[0], "websocket") || strings.EqualFold(values[0], "SPDY/3.1")) {
		return true, nil
	}
	return false, apierrors.NewBadRequest("the connection can be upgraded to \"websocket\" or \"SPDY/3.1\" only")
}

// Hint says where the door is to who knocks elsewhere.
const Hint = "the cluster's API is at " + ClusterPrefix + "/"

type targetKey struct{}

func withTarget(ctx context.Context, t *Target) context.Context {
	return context.WithValue(ctx, targetKey{}, t)
}

// TargetFrom returns the target of a request in the chain; nil outside of it.
func TargetFrom(ctx context.Context) *Target {
	t, _ := ctx.Value(targetKey{}).(*Target)
	return t
}
