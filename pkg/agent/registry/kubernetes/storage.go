package kubernetes

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

// StatusSource tells what the agent knows at the moment. Each call returns a value of its
// own that the caller may change.
type StatusSource interface {
	Status() clusterv1.KubernetesStatus
}

// REST serves the one Kubernetes object.
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

// NewREST returns the storage of the resource. The object's status comes from status and
// its creation timestamp is created: the moment when the agent started.
func NewREST(status StatusSource, created time.Time) *REST {
	return &REST{
		tableConvertor: tableConvertor{now: time.Now},
		status:         status,
		// Kubernetes' timestamps have no fractions of a second.
		created: metav1.NewTime(created.Truncate(time.Second)),
	}
}

// New returns an empty object, which tells the installer the resource's kind.
func (*REST) New() runtime.Object { return &clusterv1.Kubernetes{} }

// NewList returns an empty list, which tells the installer the list's kind.
func (*REST) NewList() runtime.Object { return &clusterv1.KubernetesList{} }

// Destroy does nothing: the storage holds nothing open.
func (*REST) Destroy() {}

// NamespaceScoped says that the resource belongs to the cluster.
func (*REST) NamespaceScoped() bool { return false }

// GetSingularName returns the name of one object; it is the plural too.
func (*REST) GetSingularName() string { return clusterv1.KubernetesResource }

// Get returns the object named "cluster" and a NotFound error for any other name.
func (r *REST) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if name != clusterv1.KubernetesName {
		return nil, apierrors.NewNotFound(clusterv1.Resource(clusterv1.KubernetesResource), name)
	}
	return r.object(), nil
}

// List returns the object unless the selectors of options leave it out.
func (r *REST) List(_ context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	list := &clusterv1.KubernetesList{Items: []clusterv1.Kubernetes{}}
	if object := r.object(); selects(options, object) {
		list.Items = append(list.Items, *object)
	}
	return list, nil
}

func (r *REST) object() *clusterv1.Kubernetes {
	return &clusterv1.Kubernetes{
		ObjectMeta: metav1.ObjectMeta{Name: clusterv1.KubernetesName, CreationTimestamp: r.created},
		Status:     r.status.Status(),
	}
}

// selects says whether the selectors of options, if there are any, match object.
func selects(options *metainternalversion.ListOptions, object *clusterv1.Kubernetes) bool {
	if options == nil {
		return true
	}
	if s := options.LabelSelector; s != nil && !s.Matches(labels.Set(object.Labels)) {
		return false
	}
	s := options.FieldSelector
	return s == nil || s.Matches(fields.Set{metav1.ObjectNameField: object.Name})
}
