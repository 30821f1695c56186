// Package directclusterendpointtokens answers whoever asks for a token for direct cluster endpoints.
// Nothing is kept.
package directclusterendpointtokens

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	managementv1 "loft.sh/agent/apis/management/v1"
)

// Issuer makes tokens. Its errors are API statuses.
type Issuer interface {
	Issue(ctx context.Context, info user.Info, spec managementv1.DirectClusterEndpointTokenSpec) (managementv1.DirectClusterEndpointTokenStatus, error)
}

// REST answers with tokens.
type REST struct{ issuer Issuer }

var (
	_ rest.Creater              = &REST{}
	_ rest.Scoper               = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// NewREST returns the storage of directclusterendpointtokens.
func NewREST(issuer Issuer) *REST { return &REST{issuer: issuer} }

// New returns an empty question.
func (*REST) New() runtime.Object { return &managementv1.DirectClusterEndpointToken{} }

// Destroy does nothing: the storage holds nothing open.
func (*REST) Destroy() {}

// NamespaceScoped says that the resource belongs to the cluster.
func (*REST) NamespaceScoped() bool { return false }

// GetSingularName returns the name of one object.
func (*REST) GetSingularName() string { return "directclusterendpointtoken" }

// Create answers with a token of whoever asks. A dry run gets none, and leaves no record of one.
func (r *REST) Create(ctx context.Context, object runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	info, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewInternalError(errors.New("the request has no user"))
	}
	asked, ok := object.(*managementv1.DirectClusterEndpointToken)
	if !ok {
		return nil, apierrors.NewBadRequest("the body is no DirectClusterEndpointToken")
	}
	if validate != nil {
		if err := validate(ctx, asked.DeepCopy()); err != nil {
			return nil, err
		}
	}
	if options != nil && len(options.DryRun) > 0 {
		return &managementv1.DirectClusterEndpointToken{Spec: asked.Spec}, nil
	}
	status, err := r.issuer.Issue(ctx, info, asked.Spec)
	if err != nil {
		return nil, err
	}
	return &managementv1.DirectClusterEndpointToken{Spec: asked.Spec, Status: status}, nil
}
