package kubernetes

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

// StatusSource knows the status of the object.
type StatusSource interface {
	Status() clusterv1.KubernetesStatus
}

// REST serves get and list.
type REST struct {
	tableConvertor
	status  StatusSource
	created metav1.Time
}

var (
	_ rest.Storage              = &REST{}
	_ rest.Getter               = &REST{}
	_ rest.Lister               = &REST{}
	_ rest.Scoper               = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// NewREST returns the storage.
func NewREST(status StatusSource) *REST {
	return &REST{tableConvertor: tableConvertor{now: time.Now}, status: status, created: metav1.Now()}
}

// New implements rest.Storage.
func (*REST) New() runtime.Object { return &clusterv1.Kubernetes{} }

// NewList implements rest.Lister.
func (*REST) NewList() runtime.Object { return &clusterv1.KubernetesList{} }

// Destroy implements rest.Storage.
func (*REST) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (*REST) NamespaceScoped() bool { return false }

// GetSingularName implements rest.SingularNameProvider.
func (*REST) GetSingularName() string { return clusterv1.KubernetesResource }

func (r *REST) object() clusterv1.Kubernetes {
	return clusterv1.Kubernetes{
		ObjectMeta: metav1.ObjectMeta{Name: clusterv1.KubernetesName, CreationTimestamp: r.created},
		Status:     r.status.Status(),
	}
}

// Get implements rest.Getter.
func (r *REST) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if name != clusterv1.KubernetesName {
		return nil, apierrors.NewNotFound(clusterv1.Resource(clusterv1.KubernetesResource), name)
	}
	object := r.object()
	return &object, nil
}

// List implements rest.Lister.
func (r *REST) List(_ context.Context, options *internalversion.ListOptions) (runtime.Object, error) {
	list := &clusterv1.KubernetesList{Items: []clusterv1.Kubernetes{}}
	if selects(options) {
		list.Items = append(list.Items, r.object())
	}
	return list, nil
}

func selects(options *internalversion.ListOptions) bool {
	if options == nil {
		return true
	}
	byLabel := options.LabelSelector == nil || options.LabelSelector.Matches(labels.Set{})
	byField := options.FieldSelector == nil || options.FieldSelector.Matches(fields.Set{"metadata.name": clusterv1.KubernetesName})
	return byLabel && byField
}
