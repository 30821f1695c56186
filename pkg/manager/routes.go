package manager

import (
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/manager/gateway"
	"loft.sh/agent/pkg/statuserr"
)

// managementPrefix is where the management API is.
const managementPrefix = "/kubernetes/management"

// hint says where the doors are to who knocks elsewhere.
const hint = "the management API is at " + managementPrefix + "/; " + gateway.Hint

// handlers answer behind the outer doors.
type handlers struct {
	// own answers health, version the version.
	own, version http.Handler
	// management is the management API, gateway the connected clusters' APIs.
	management, gateway http.Handler
}

// outerRoutes are the doors of the outer listeners.
func outerRoutes(h handlers, serializer runtime.NegotiatedSerializer) http.Handler {
	refuse := statuserr.NewWriter(serializer)
	health := doors.Public(h.own, refuse)
	return doors.Routes{
		Table: []doors.Route{
			{Path: managementPrefix, Handler: doors.WithCORS(doors.Inside(managementPrefix, h.management, refuse))},
			{Path: gateway.ClusterPrefix, Handler: h.gateway},
			{Path: gateway.VirtualPrefix, Handler: h.gateway},
			{Path: "/healthz", Handler: health},
			{Path: "/livez", Handler: health},
			{Path: "/readyz", Handler: health},
			{Path: "/version", Handler: doors.Public(h.version, refuse)},
		},
		Fallback: doors.Nothing(refuse, hint),
	}
}

// clustersPath is the management API's resource clusters.
const clustersPath = "/apis/management.loft.sh/v1/clusters"

// withProxy hands the subresource proxy of clusters to the gateway, which is no subresource of the
// generic API server: to the gateway a request is the inner one from its first filter on.
func withProxy(gateway, api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.Path, clustersPath+"/")
		if _, below, more := strings.Cut(rest, "/"); ok && more && doors.Below(below, "proxy") {
			gateway.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}
