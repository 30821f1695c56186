package manager

import (
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"

	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/statuserr"
)

// Prefixes of the outer doors.
const (
	managementPrefix     = "/kubernetes/management"
	clusterPrefix        = "/kubernetes/cluster"
	virtualClusterPrefix = "/kubernetes/virtualcluster"
)

// hint says where the doors are to who knocks elsewhere.
const hint = "the management API is at " + managementPrefix + "/, a connected cluster's API at " + clusterPrefix + "/<cluster>/"

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
			{Path: clusterPrefix, Handler: h.gateway},
			{Path: virtualClusterPrefix, Handler: h.gateway},
			{Path: "/healthz", Handler: health},
			{Path: "/livez", Handler: health},
			{Path: "/readyz", Handler: health},
			{Path: "/version", Handler: doors.Public(h.version, refuse)},
		},
		Fallback: doors.Nothing(refuse, hint),
	}
}

// noGateway answers where no connected cluster can be reached.
func noGateway(serializer runtime.NegotiatedSerializer) http.Handler {
	refuse := statuserr.NewWriter(serializer)
	return doors.WithCORS(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, statuserr.Unavailable("this manager has no way to connected clusters", 1))
	}))
}
