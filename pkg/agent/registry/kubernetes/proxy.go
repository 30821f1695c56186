package kubernetes

import (
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

// errNotForwarded is what a request gets that reached ProxyREST.
var errNotForwarded = errors.New("the request reached the API router instead of the proxy behind kubernetes/proxy")

// ProxyREST declares the subresource "proxy" to discovery and OpenAPI, and does no more.
//
// Door 2 serves each request below the proxy's path in a handler chain of its own, before
// the API router sees it: the chain authorises, audits and forwards the *inner* request,
// which a storage cannot do, since by then the outer request has been audited and counted
// as a "connect". A request that gets here was wired past that chain, so it is refused.
type ProxyREST struct{}

var (
	_ rest.Storage   = &ProxyREST{}
	_ rest.Connecter = &ProxyREST{}
)

// NewProxyREST returns the storage of the subresource.
func NewProxyREST() *ProxyREST { return &ProxyREST{} }

// New returns empty options, which tell the installer the subresource's kind.
func (*ProxyREST) New() runtime.Object { return &clusterv1.ProxyOptions{} }

// Destroy does nothing: the storage holds nothing open.
func (*ProxyREST) Destroy() {}

// ConnectMethods returns every method that Kubernetes' own proxy subresources serve.
func (*ProxyREST) ConnectMethods() []string {
	return []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions,
	}
}

// NewConnectOptions says that the path below the subresource is the option "path".
func (*ProxyREST) NewConnectOptions() (options runtime.Object, subpath bool, subpathParameter string) {
	return &clusterv1.ProxyOptions{}, true, "path"
}

// Connect always fails with an internal error; see ProxyREST.
func (*ProxyREST) Connect(context.Context, string, runtime.Object, rest.Responder) (http.Handler, error) {
	return nil, apierrors.NewInternalError(errNotForwarded)
}
