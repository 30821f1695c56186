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

// UsersREST serves users.
type UsersREST = view.Store[*managementv1.User, *storagev1.User, *storagev1.UserList]

// NewUsersREST returns the storage of users. storage reaches the custom resources.
func NewUsersREST(storage rest.Interface, policy *access.Policy) *UsersREST {
	type shown = *managementv1.User
	return view.NewStore(view.Kind[*managementv1.User, *storagev1.User, *storagev1.UserList]{
		Resource: "users", Singular: "user",
		GroupVersion: managementv1.SchemeGroupVersion,
		Client: gentype.NewClientWithList[*storagev1.User, *storagev1.UserList]("users", storage, storagescheme.ParameterCodec, "",
			func() *storagev1.User { return &storagev1.User{} }, func() *storagev1.UserList { return &storagev1.UserList{} }),
		New:       func() *managementv1.User { return &managementv1.User{} },
		NewList:   func() runtime.Object { return &managementv1.UserList{} },
		NewStored: func() *storagev1.User { return &storagev1.User{} },
		Show: func(stored *storagev1.User, u shown) {
			u.Spec, u.Status.UserStatus = stored.Spec, stored.Status
			u.Status.Teams = TeamEntities(policy.Directory, policy.TeamsOf(stored))
		},
		Store: func(u shown, stored *storagev1.User) { stored.Spec = u.Spec },
		Sight: userSight{policy},
		Columns: []view.Column[shown]{
			{Name: "Username", Type: "string", Description: "The name that the person signs in with.", Cell: func(u shown) any { return u.Spec.Username }},
			{Name: "Email", Type: "string", Description: "The person's address.", Cell: func(u shown) any { return u.Spec.Email }},
			{Name: "Disabled", Type: "boolean", Description: "Whether the person is refused everything.", Cell: func(u shown) any { return u.Spec.Disabled }},
		},
	})
}

// userSight shows people themselves, and all users to who manages them.
type userSight struct{ *access.Policy }

func (s userSight) Filter(ctx context.Context, info user.Info) (view.Filter[*storagev1.User], error) {
	names, err := s.Users(ctx, info)
	return view.Filter[*storagev1.User]{Names: names}, err
}

func (s userSight) Sees(ctx context.Context, info user.Info, name string, _ *storagev1.User) (bool, error) {
	names, err := s.Users(ctx, info)
	return names.Has(name), unlessSeen(names.Has(name), err)
}

// unlessSeen drops an error that does not matter: who sees something for one reason needs no other.
func unlessSeen(seen bool, err error) error {
	if seen {
		return nil
	}
	return err
}
