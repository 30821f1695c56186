// Package selves answers who makes a request. Nothing is kept: a Self is created to be answered.
package selves

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	managementv1 "loft.sh/agent/apis/management/v1"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/registry/people"
)

// REST answers who makes a request.
type REST struct{ directory *access.Directory }

var (
	_ rest.Creater              = &REST{}
	_ rest.Scoper               = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// NewREST returns the storage of selves.
func NewREST(directory *access.Directory) *REST { return &REST{directory: directory} }

// New returns an empty question.
func (*REST) New() runtime.Object { return &managementv1.Self{} }

// Destroy does nothing: the storage holds nothing open.
func (*REST) Destroy() {}

// NamespaceScoped says that the resource belongs to the cluster.
func (*REST) NamespaceScoped() bool { return false }

// GetSingularName returns the name of one object.
func (*REST) GetSingularName() string { return "self" }

// Create answers who makes the request.
func (r *REST) Create(ctx context.Context, _ runtime.Object, _ rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	info, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewInternalError(errors.New("the request has no user"))
	}
	person := r.directory.Person(info)
	status := managementv1.SelfStatus{Subject: info.GetName(), Groups: info.GetGroups()}
	if key := person.AccessKey; key != nil {
		status.AccessKey, status.AccessKeyType = key.Name, key.Spec.Type
	}
	if person.User != "" {
		status.User = &managementv1.UserInfo{
			EntityInfo: managementv1.EntityInfo{Name: person.User},
			Teams:      people.TeamEntities(r.directory, person.Teams),
		}
		if u, err := r.directory.User(person.User); err == nil {
			status.User.EntityInfo = people.UserEntity(u)
		}
	}
	if person.Team != "" {
		team := people.TeamEntities(r.directory, []string{person.Team})[0]
		status.Team = &team
	}
	return &managementv1.Self{Status: status}, nil
}
