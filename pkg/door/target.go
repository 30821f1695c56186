package door

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

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/observe"
	"loft.sh/agent/pkg/proxy"
)

// Destination is where the paths below a prefix lead.
type Destination struct {
	// Prefix is the outer path up to where the inner path begins.
	Prefix string
	// Forwarder carries the requests; nil where there is none: Access must refuse them.
	Forwarder *proxy.Forwarder
	// Base is put before the inner path where Forwarder reaches the API server through another door.
	Base string
	// Cluster is the name of the connected cluster; empty where there is only one.
	Cluster string
	// Virtual is the virtual cluster in it whose API server is meant; nil: the cluster's own is.
	Virtual *accesstoken.VirtualClusterRef
}

// Locator finds the destination of a request by its path. An error is an API status error.
type Locator func(*http.Request) (Destination, error)

// At is the one destination of everything below prefix.
func At(prefix string, forwarder *proxy.Forwarder) Locator {
	return func(*http.Request) (Destination, error) {
		return Destination{Prefix: prefix, Forwarder: forwarder}, nil
	}
}

// Target is what a request asks for, parsed once.
type Target struct {
	Destination
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

// Parse reads r as a request to what locate finds. Errors are API status errors: 404, with the hint,
// for a path that leads nowhere, 400 for a path whose meaning would depend on who reads it and for an
// upgrade that is not passed on.
func Parse(r *http.Request, locate Locator, hint string) (*Target, error) {
	if err := refuseDotSegments(r.URL.EscapedPath()); err != nil {
		return nil, err
	}
	destination, err := locate(r)
	if err != nil {
		return nil, err
	}
	inner, ok := below(r.URL, destination.Prefix)
	if !ok {
		return nil, doors.NotFound(r, hint)
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
	t := &Target{Destination: destination, URL: inner, Info: info, LongRunning: longRunning(&innerRequest, info)}
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

type targetKey struct{}

func withTarget(ctx context.Context, t *Target) context.Context {
	return context.WithValue(ctx, targetKey{}, t)
}

// TargetFrom returns the target of a request in the chain; nil outside of it.
func TargetFrom(ctx context.Context) *Target {
	t, _ := ctx.Value(targetKey{}).(*Target)
	return t
}
