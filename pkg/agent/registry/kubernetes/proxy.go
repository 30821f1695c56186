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

// ProxyREST is the subresource proxy as discovery and OpenAPI show it.
type ProxyREST struct{}

var (
	_ rest.Storage   = &ProxyREST{}
	_ rest.Connecter = &ProxyREST{}
)

// NewProxyREST returns the storage.
func NewProxyREST() *ProxyREST { return &ProxyREST{} }

// New implements rest.Storage.
func (*ProxyREST) New() runtime.Object { return &clusterv1.ProxyOptions{} }

// Destroy implements rest.Storage.
func (*ProxyREST) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (*ProxyREST) ConnectMethods() []string {
	return []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions,
	}
}

// NewConnectOptions implements rest.Connecter.
func (*ProxyREST) NewConnectOptions() (runtime.Object, bool, string) {
	return &clusterv1.ProxyOptions{}, true, "path"
}

// Connect implements rest.Connecter, and always refuses: door 2 takes every request below the
// subresource before the API's own router sees it, so one that comes here has not been through the
// door's chain.
func (*ProxyREST) Connect(context.Context, string, runtime.Object, rest.Responder) (http.Handler, error) {
	return nil, apierrors.NewInternalError(errors.New("proxy request reached the registry and not its door"))
}
