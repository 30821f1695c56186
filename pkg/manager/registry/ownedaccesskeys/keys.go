package ownedaccesskeys

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericrest "k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	storagescheme "loft.sh/agent/generated/clientset/versioned/scheme"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/accesskey"
	"loft.sh/agent/pkg/manager/registry/view"
)

type store = view.Store[*managementv1.OwnedAccessKey, *storagev1.AccessKey, *storagev1.AccessKeyList]

// REST serves owned access keys.
type REST struct {
	*store
	directory *access.Directory
}

// NewREST returns the storage of ownedaccesskeys. storage reaches the custom resources.
func NewREST(storage rest.Interface, directory *access.Directory) *REST {
	type shown = *managementv1.OwnedAccessKey
	return &REST{directory: directory, store: view.NewStore(view.Kind[*managementv1.OwnedAccessKey, *storagev1.AccessKey, *storagev1.AccessKeyList]{
		Resource: "ownedaccesskeys", Singular: "ownedaccesskey",
		GroupVersion: managementv1.SchemeGroupVersion,
		Client: gentype.NewClientWithList[*storagev1.AccessKey, *storagev1.AccessKeyList]("accesskeys", storage, storagescheme.ParameterCodec, "",
			func() *storagev1.AccessKey { return &storagev1.AccessKey{} }, func() *storagev1.AccessKeyList { return &storagev1.AccessKeyList{} }),
		New:       func() shown { return &managementv1.OwnedAccessKey{} },
		NewList:   func() runtime.Object { return &managementv1.OwnedAccessKeyList{} },
		NewStored: func() *storagev1.AccessKey { return &storagev1.AccessKey{} },
		Show:      show,
		Store:     keep,
		Validate:  validate,
		Sight:     sight{directory},
		Columns: []view.Column[shown]{
			{Name: "Display Name", Type: "string", Description: "The name that people are shown.", Cell: func(k shown) any { return k.Spec.DisplayName }},
			{Name: "Type", Type: "string", Description: "\"Login\" for a key that a login made.", Cell: func(k shown) any { return k.Spec.Type }},
			{Name: "Disabled", Type: "boolean", Description: "Whether the key is refused.", Cell: func(k shown) any { return k.Spec.Disabled }},
		},
	})}
}

// show fills in all but the key.
func show(stored *storagev1.AccessKey, k *managementv1.OwnedAccessKey) {
	spec := stored.Spec
	k.Spec = managementv1.OwnedAccessKeySpec{
		DisplayName: spec.DisplayName, Description: spec.Description, User: spec.User, Team: spec.Team, Disabled: spec.Disabled,
		TTL: spec.TTL, TTLAfterLastActivity: spec.TTLAfterLastActivity, Scope: spec.Scope, Type: spec.Type,
	}
	k.Status = stored.Status
}

// keep leaves the hash that is there; Create puts one into the view.
func keep(k *managementv1.OwnedAccessKey, stored *storagev1.AccessKey) {
	spec, hash := k.Spec, stored.Spec.Key
	if hash == "" {
		hash = spec.Key
	}
	stored.Spec = storagev1.AccessKeySpec{
		DisplayName: spec.DisplayName, Description: spec.Description, User: spec.User, Team: spec.Team, Key: hash, Disabled: spec.Disabled,
		TTL: spec.TTL, TTLAfterLastActivity: spec.TTLAfterLastActivity, Scope: spec.Scope, Type: spec.Type,
	}
}

// validate lets an owner rename and disable a key.
func validate(k, before *managementv1.OwnedAccessKey) field.ErrorList {
	if before.UID == "" {
		return nil
	}
	path := field.NewPath("spec")
	var errs field.ErrorList
	if before.Spec.Disabled && !k.Spec.Disabled {
		errs = append(errs, field.Forbidden(path.Child("disabled"), "a disabled key stays disabled; make another one"))
	}
	after := k.Spec
	after.DisplayName, after.Description, after.Disabled = before.Spec.DisplayName, before.Spec.Description, before.Spec.Disabled
	if !equality.Semantic.DeepEqual(after, before.Spec) {
		errs = append(errs, field.Forbidden(path, "of a key only displayName, description and disabled can be changed; make another one"))
	}
	return errs
}

// Create makes a key for whoever asks and answers with its secret.
func (r *REST) Create(ctx context.Context, object runtime.Object, validate genericrest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	k, ok := object.(*managementv1.OwnedAccessKey)
	if !ok {
		return nil, apierrors.NewBadRequest("the body is no OwnedAccessKey")
	}
	if err := r.own(ctx, k); err != nil {
		return nil, err
	}
	// Nobody deletes one person's key by another's object, or keeps a key from being deleted.
	k.OwnerReferences, k.Finalizers = nil, nil
	secret, hash := accesskey.New()
	k.Spec.Key = hash
	created, err := r.store.Create(ctx, k, validate, options)
	if err != nil {
		return nil, err
	}
	if answer, ok := created.(*managementv1.OwnedAccessKey); ok && len(options.DryRun) == 0 {
		answer.Spec.Key = secret
	}
	return created, nil
}

// own fills in whose key it is. Who asks for another's is refused, and so is a key that somebody chose:
// people choose badly.
func (r *REST) own(ctx context.Context, k *managementv1.OwnedAccessKey) error {
	info, ok := request.UserFrom(ctx)
	if !ok {
		return apierrors.NewInternalError(errors.New("the request has no user"))
	}
	person := r.directory.Person(info)
	forbidden := func(why string) error {
		return apierrors.NewForbidden(managementv1.Resource("ownedaccesskeys"), k.Name, errors.New(why))
	}
	switch {
	case person.User == "" && person.Team == "":
		return forbidden("only users and teams of the manager have access keys")
	case k.Spec.User != "" && k.Spec.User != person.User, k.Spec.Team != "" && k.Spec.Team != person.Team:
		return forbidden("an access key can be made for oneself only")
	case k.Spec.Key != "":
		return apierrors.NewInvalid(managementv1.Kind("OwnedAccessKey"), k.Name, field.ErrorList{
			field.Forbidden(field.NewPath("spec", "key"), "the key is made by the manager; leave it out"),
		})
	}
	k.Spec.User, k.Spec.Team = person.User, person.Team
	if k.Name == "" && k.GenerateName == "" {
		k.GenerateName = person.User + person.Team + "-"
	}
	return nil
}

// sight shows people their own keys.
type sight struct{ *access.Directory }

func (s sight) Filter(_ context.Context, info user.Info) (view.Filter[*storagev1.AccessKey], error) {
	person := s.Person(info)
	return view.Filter[*storagev1.AccessKey]{Names: access.Only(), Owner: owner(&person), Owns: owns}, nil
}

func (s sight) Sees(ctx context.Context, info user.Info, name string, stored *storagev1.AccessKey) (bool, error) {
	filter, err := s.Filter(ctx, info)
	return err == nil && filter.Has(name, stored), err
}

// owner is empty for whoever has no keys, or nothing any more.
func owner(p *access.Person) string {
	switch {
	case p.Refused():
		return ""
	case p.User != "":
		return "user/" + p.User
	case p.Team != "":
		return "team/" + p.Team
	}
	return ""
}

func owns(stored *storagev1.AccessKey, owner string) bool {
	return stored.Spec.User != "" && owner == "user/"+stored.Spec.User || stored.Spec.Team != "" && owner == "team/"+stored.Spec.Team
}
