package directclusterendpointtokens

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	managementv1 "loft.sh/agent/apis/management/v1"
)

// issuer counts what it is asked for.
type issuer struct {
	asked int
	err   error
}

func (i *issuer) Issue(_ context.Context, info user.Info, spec managementv1.DirectClusterEndpointTokenSpec) (managementv1.DirectClusterEndpointTokenStatus, error) {
	i.asked++
	if i.err != nil {
		return managementv1.DirectClusterEndpointTokenStatus{}, i.err
	}
	return managementv1.DirectClusterEndpointTokenStatus{Token: "token of " + info.GetName()}, nil
}

func TestCreate(t *testing.T) {
	alice := request.WithUser(t.Context(), &user.DefaultInfo{Name: "loft:user:alice"})
	forbidden := apierrors.NewForbidden(managementv1.Resource("clusters"), "eu", errors.New("no"))
	refuse := func(context.Context, runtime.Object) error { return forbidden }
	tests := []struct {
		name      string
		ctx       context.Context
		object    runtime.Object
		validate  func(context.Context, runtime.Object) error
		dryRun    []string
		err       error
		wantToken string
		wantAsked int
		wantCode  int32
	}{
		{name: "asks as whoever makes the request", ctx: alice, wantToken: "token of loft:user:alice", wantAsked: 1},
		{name: "dry run leaves no trace", ctx: alice, dryRun: []string{metav1.DryRunAll}},
		{name: "admission refuses", ctx: alice, validate: refuse, wantCode: 403},
		{name: "issuer refuses", ctx: alice, err: forbidden, wantAsked: 1, wantCode: 403},
		{name: "nobody asks", ctx: t.Context(), wantCode: 500},
		{name: "another kind", ctx: alice, object: &managementv1.Self{}, wantCode: 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := &issuer{err: tt.err}
			object := tt.object
			if object == nil {
				object = &managementv1.DirectClusterEndpointToken{Spec: managementv1.DirectClusterEndpointTokenSpec{TTL: 60}}
			}
			got, err := NewREST(i).Create(tt.ctx, object, tt.validate, &metav1.CreateOptions{DryRun: tt.dryRun})
			var code int32
			if status := apierrors.APIStatus(nil); errors.As(err, &status) {
				code = status.Status().Code
			}
			if code != tt.wantCode || i.asked != tt.wantAsked {
				t.Errorf("code %d (%v), asked the issuer %d times; want %d and %d", code, err, i.asked, tt.wantCode, tt.wantAsked)
			}
			if tt.wantCode != 0 {
				return
			}
			want := &managementv1.DirectClusterEndpointToken{
				Spec: managementv1.DirectClusterEndpointTokenSpec{TTL: 60}, Status: managementv1.DirectClusterEndpointTokenStatus{Token: tt.wantToken},
			}
			if diff := cmp.Diff(runtime.Object(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
