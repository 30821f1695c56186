package people

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	storagescheme "loft.sh/agent/generated/clientset/versioned/scheme"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/registry/view"
)

// TeamsREST serves teams.
type TeamsREST = view.Store[*managementv1.Team, *storagev1.Team, *storagev1.TeamList]

// NewTeamsREST returns the storage of teams. storage reaches the custom resources.
func NewTeamsREST(storage rest.Interface, policy *access.Policy) *TeamsREST {
	type shown = *managementv1.Team
	return view.NewStore(view.Kind[*managementv1.Team, *storagev1.Team, *storagev1.TeamList]{
		Resource: "teams", Singular: "team",
		GroupVersion: managementv1.SchemeGroupVersion,
		Client: gentype.NewClientWithList[*storagev1.Team, *storagev1.TeamList]("teams", storage, storagescheme.ParameterCodec, "",
			func() *storagev1.Team { return &storagev1.Team{} }, func() *storagev1.TeamList { return &storagev1.TeamList{} }),
		New:       func() *managementv1.Team { return &managementv1.Team{} },
		NewList:   func() runtime.Object { return &managementv1.TeamList{} },
		NewStored: func() *storagev1.Team { return &storagev1.Team{} },
		Show:      func(stored *storagev1.Team, t shown) { t.Spec, t.Status = stored.Spec, stored.Status },
		Store:     func(t shown, stored *storagev1.Team) { stored.Spec = t.Spec },
		Sight:     teamSight{policy},
		Columns: []view.Column[shown]{
			{Name: "Display Name", Type: "string", Description: "The name that people are shown.", Cell: func(t shown) any { return t.Spec.DisplayName }},
		},
	})
}

// teamSight shows people the teams that they are in, and all teams to who manages them.
type teamSight struct{ *access.Policy }

func (s teamSight) Filter(ctx context.Context, info user.Info) (view.Filter[*storagev1.Team], error) {
	names, err := s.Teams(ctx, info)
	return view.Filter[*storagev1.Team]{Names: names}, err
}

func (s teamSight) Sees(ctx context.Context, info user.Info, name string, _ *storagev1.Team) (bool, error) {
	names, err := s.Teams(ctx, info)
	return names.Has(name), unlessSeen(names.Has(name), err)
}
