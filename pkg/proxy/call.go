package proxy

import (
	"context"
	"net/http"
	"net/url"

	"k8s.io/apiserver/pkg/authentication/user"

	"loft.sh/agent/pkg/proxy/streams"
)

// Lane is the kind of a forwarded request; it decides protocol, buffers and flushing.
type Lane int

const (
	// Short is a request that is answered at once, however large the answer is: HTTP/1.1
	// upstream, because Go's HTTP/2 transport is dear on large answers.
	Short Lane = iota
	// Stream is a request that stays open and is read as it comes (watch, log): HTTP/2 upstream,
	// so that a thousand of them share a few connections; each write is flushed.
	Stream
	// Upgrade switches protocols (exec, attach, port-forward): HTTP/1.1, a connection of its own.
	Upgrade
)

// Call is what a door decided about a request: whom it runs as and where it goes.
type Call struct {
	// User is the identity that the API server is to see.
	User user.Info
	// URL holds path (with RawPath) and query of the inner request. Scheme and host are ignored.
	URL *url.URL
	// Lane says how the request is carried.
	Lane Lane
	// Stream is how what stays open is looked after.
	Stream streams.Settings
	// Prefix is the door's path prefix, put before absolute paths in Location headers.
	Prefix string
	// Base is put before the path on its way, where the inner request's API server is reached through
	// another door; it is taken off absolute paths in Location headers.
	Base string
	// Deferred is whom the client asks to impersonate, for that other door; see identity.Defer.
	Deferred http.Header
	// ClientIP is the address the request came from, sent on as X-Forwarded-For so that the API
	// server's audit log names it. Empty: nothing is sent.
	ClientIP string
	// Backend is set where the answer is not the API server's own but that of a pod, service or node
	// behind its proxy subresource.
	Backend bool
	// AuditID correlates our audit record with the API server's. Empty: nothing is sent.
	AuditID string

	credential string
}

type callKey struct{}

func withCall(ctx context.Context, c *Call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

func callFrom(ctx context.Context) *Call {
	c, _ := ctx.Value(callKey{}).(*Call)
	return c
}
