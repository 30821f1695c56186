package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"

	"loft.sh/agent/pkg/identity"
	"loft.sh/agent/pkg/proxy/streams"
	"loft.sh/agent/pkg/statuserr"
)

// retryAfterSeconds is what clients are told to wait when the API server cannot be reached.
// client-go retries such an answer by itself.
const retryAfterSeconds = 1

// noCache is the API server's own default, for answers that did not come from it.
const noCache = "no-cache, private"

// Forwarder sends calls to one upstream.
type Forwarder struct {
	// OnFailure, if set, is told of each request that the API server did not answer. It must not block.
	OnFailure func(Failure)
	// Inspect, if set, is shown each answer before anything of it is sent. An error, which is an API
	// status error, is answered in its place.
	Inspect func(*http.Response, *Call) error
	// Self and Host are how refusals call this program and the API server.
	Self, Host string

	upstream *Upstream
	proxies  [3]httputil.ReverseProxy
	refuse   statuserr.Writer
}

// New builds a forwarder; refusals of its own are written by refuse.
func New(upstream *Upstream, refuse statuserr.Writer) *Forwarder {
	f := &Forwarder{Self: "agent", Host: "the cluster's API server", upstream: upstream, refuse: refuse}
	for lane := range f.proxies {
		f.proxies[lane] = httputil.ReverseProxy{
			Transport:      upstream.lanes[lane],
			Rewrite:        f.rewrite,
			ModifyResponse: f.modifyResponse,
			ErrorHandler:   f.fail,
			FlushInterval:  flushInterval(Lane(lane)),
			BufferPool:     buffers[lane],
			ErrorLog:       log.New(logWriter{}, "", 0),
		}
	}
	return f
}

// Forward carries r out as call says. It returns when the answer is written, or the stream or
// upgraded connection has ended, or r's context has; it never outlives any of them.
func (f *Forwarder) Forward(w http.ResponseWriter, r *http.Request, call Call) {
	if err := identity.Validate(call.User); err != nil {
		f.refuse(w, r, apierrors.NewBadRequest("the identity of the request cannot be forwarded: "+err.Error()))
		return
	}
	var err error
	if call.credential, err = f.upstream.authorization(); err != nil {
		f.failed(r, &call, FailureCredential, err)
		f.refuse(w, r, statuserr.Unavailable("the "+f.Self+"'s credential for "+f.Host+" cannot be read", retryAfterSeconds))
		return
	}
	switch call.Lane {
	case Short:
		w = unflushed{w}
	case Upgrade:
		// Whatever comes of it, nothing else is read from this connection.
		w = closing{w}
	}
	if call.Lane != Short {
		var done func()
		call.Stream.Upgrade = call.Lane == Upgrade
		w, r, done = streams.Open(w, r, call.Stream)
		defer done()
	}
	if call.Lane == Stream {
		// Inside of what follows the events: the last one of ours is flushed as it is written.
		b := &bursts{ResponseWriter: w}
		defer b.end()
		w = b
	}
	f.proxies[call.Lane].ServeHTTP(w, r.WithContext(withCall(r.Context(), &call)))
}

// rewrite runs after hop-by-hop headers have been removed and Connection is "Upgrade" or absent.
func (f *Forwarder) rewrite(p *httputil.ProxyRequest) {
	call := callFrom(p.In.Context())
	out := p.Out
	out.Host = ""
	out.URL.Scheme, out.URL.Host = f.upstream.base.Scheme, f.upstream.base.Host
	base := f.upstream.path + call.Base
	out.URL.Path, out.URL.RawPath = base+call.URL.Path, call.URL.RawPath
	if out.URL.RawPath != "" {
		out.URL.RawPath = base + out.URL.RawPath
	}
	out.URL.RawQuery, out.URL.ForceQuery = call.URL.RawQuery, call.URL.ForceQuery

	// Nothing in the Kubernetes API has trailers; a client's would name headers of ours.
	out.Trailer = nil
	identity.Strip(out.Header)
	setIfAny(out.Header, "Authorization", call.credential)
	setIfAny(out.Header, "X-Forwarded-For", call.ClientIP)
	setIfAny(out.Header, "Audit-Id", call.AuditID)
	maps.Copy(out.Header, call.Deferred)
	if err := identity.Stamp(out.Header, call.User); err != nil {
		// Forward validated the same value; without an identity the request must not leave.
		out.URL = nil
	}
}

func setIfAny(h http.Header, key, value string) {
	if value != "" {
		h[key] = []string{value}
	}
}

// ownHeaders are set by our doors; the API server's would stand beside them.
var ownHeaders = []string{
	"Audit-Id", "X-Loft-Agent", "Access-Control-Allow-Origin", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers",
	"Access-Control-Allow-Credentials", "Access-Control-Expose-Headers", "Access-Control-Max-Age",
}

// errCredential means that the API server does not accept the agent's own credential. Passed on as
// 401 it would make clients throw away theirs, which are good.
var errCredential = errors.New("the API server refused our credential")

// refusal is an answer that Inspect did not let through.
type refusal struct{ error }

// errOtherProtocol is reported here because the reverse proxy, which would notice too, leaves the
// API server's connection open then.
var errOtherProtocol = errors.New("the API server switched to another protocol than was asked for")

func (f *Forwarder) modifyResponse(res *http.Response) error {
	call := callFrom(res.Request.Context())
	if f.Inspect != nil {
		if err := f.Inspect(res, call); err != nil {
			return refusal{err}
		}
	}
	if res.StatusCode == http.StatusSwitchingProtocols &&
		!strings.EqualFold(res.Header.Get("Upgrade"), res.Request.Header.Get("Upgrade")) {
		return errOtherProtocol
	}
	if res.StatusCode == http.StatusSwitchingProtocols {
		streams.Switched(res)
	}
	if !call.Backend && (res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden && aboutAgent(res)) {
		return errCredential
	}
	if call.Lane == Stream {
		res.Body = &eager{ReadCloser: res.Body}
	}
	for _, name := range ownHeaders {
		delete(res.Header, name)
	}
	if res.Header.Get("Cache-Control") == "" {
		res.Header.Set("Cache-Control", noCache)
	}
	// Absolute paths in a redirect are the API server's own: they lie below the door's prefix.
	if location := res.Header.Get("Location"); strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//") {
		res.Header.Set("Location", call.Prefix+strings.TrimPrefix(location, f.upstream.path+call.Base))
	}
	return nil
}

// refusalLimit is how much of a refusal is read, in bytes, to see whom it is about.
const refusalLimit = 4 << 10

// aboutAgent says whether a refusal denies the agent itself the right to impersonate, which an API
// server does while it starts and has not read its RBAC yet. Nobody else's impersonation gets there.
func aboutAgent(res *http.Response) bool {
	var head bytes.Buffer
	_, _ = io.CopyN(&head, res.Body, refusalLimit) // a fault shows again when the rest is read
	about := bytes.Contains(head.Bytes(), []byte(`" cannot impersonate`))
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&head, res.Body), res.Body}
	return about
}

// fail answers a request that the API server did not.
func (f *Forwarder) fail(w http.ResponseWriter, r *http.Request, err error) {
	w.Header().Set("Cache-Control", noCache)
	call := callFrom(r.Context())
	end := streams.EndOf(r.Context())
	var inspected refusal
	switch {
	case end != nil:
		f.refuse(w, r, &apierrors.StatusError{ErrStatus: *end.Status()})
	case errors.As(err, &inspected):
		f.refuse(w, r, inspected.error)
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(context.Cause(r.Context()), context.DeadlineExceeded):
		f.failed(r, call, FailureTimeout, err)
		f.refuse(w, r, apierrors.NewTimeoutError(f.Host+" did not answer in time", retryAfterSeconds))
	case r.Context().Err() != nil:
		// The client is gone, or the request was ended by us: nobody reads an answer.
		panic(http.ErrAbortHandler)
	case errors.Is(err, errCredential):
		f.failed(r, call, FailureCredential, err)
		f.refuse(w, r, statuserr.Unavailable(f.Host+" does not accept the "+f.Self+"'s credential", retryAfterSeconds))
	case requestBodyError(err):
		f.refuse(w, r, apierrors.NewBadRequest("the request body could not be read"))
	default:
		kind := failureOf(err)
		f.failed(r, call, kind, err)
		f.refuse(w, r, statuserr.Unavailable(f.Host+" cannot be reached: "+kind.explain(), retryAfterSeconds))
	}
}

// failed counts and logs what fail answers for. The logger is made here, since no good request needs it.
func (f *Forwarder) failed(r *http.Request, call *Call, kind Failure, err error) {
	if f.OnFailure != nil {
		f.OnFailure(kind)
	}
	klog.FromContext(r.Context()).Error(err, "No answer of the API server", "apiServer", f.Host, "kind", kind, "auditID", call.AuditID)
}

func requestBodyError(err error) bool {
	var tooLarge *http.MaxBytesError
	return errors.As(err, &tooLarge) || errors.Is(err, errRequestBody)
}

// logWriter carries the reverse proxy's own notes, such as a failed copy, into the log.
type logWriter struct{}

func (logWriter) Write(p []byte) (int, error) {
	klog.V(4).InfoS("Reverse proxy", "note", strings.TrimSpace(string(p)))
	return len(p), nil
}
