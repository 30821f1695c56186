package agent

import (
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"

	"loft.sh/agent/pkg/agent/direct"
	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/proof"
	"loft.sh/agent/pkg/statuserr"
)

// innerRoutes are the doors of the inner listener.
func innerRoutes(door2, api http.Handler) http.Handler {
	return doors.Routes{
		Table:    []doors.Route{{Path: direct.ProxyPrefix, Handler: door2}},
		Fallback: api,
	}
}

// outerRoutes are the doors of the outer listeners; own answers health and version, proofs the manager.
func outerRoutes(own, door1, proofs http.Handler, serializer runtime.NegotiatedSerializer) http.Handler {
	refuse := statuserr.NewWriter(serializer)
	public := doors.Public(own, refuse)
	return doors.Routes{
		Table: []doors.Route{
			{Path: direct.ClusterPrefix, Handler: door1},
			{Path: proof.Path, Handler: proofs},
			{Path: "/healthz", Handler: public},
			{Path: "/livez", Handler: public},
			{Path: "/readyz", Handler: public},
			{Path: "/version", Handler: public},
		},
		Fallback: doors.Nothing(refuse, direct.Hint),
	}
}
