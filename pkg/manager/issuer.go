package manager

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/user"

	managementv1 "loft.sh/agent/apis/management/v1"
	"loft.sh/agent/pkg/statuserr"
)

// noIssuer stands where no tokens can be issued.
type noIssuer struct{}

// Issue refuses.
func (noIssuer) Issue(context.Context, user.Info, managementv1.DirectClusterEndpointTokenSpec) (managementv1.DirectClusterEndpointTokenStatus, error) {
	return managementv1.DirectClusterEndpointTokenStatus{}, statuserr.Unavailable("this manager issues no tokens", 1)
}
