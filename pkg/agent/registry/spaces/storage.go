package spaces

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/rights"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
	"loft.sh/agent/pkg/agent/sleepmode/view"
)

// Visibility finds what a person may see.
type Visibility interface {
	Visible(person user.Info) (rights.Visible, error)
	// Version changes whenever that may have changed for anybody.
	Version() uint64
}

// Applier applies manifests to a namespace with the rights of a person.
type Applier interface {
	Parse(manifests string) (Manifests, error)
	Apply(ctx context.Context, person user.Info, namespace string, manifests Manifests) error
}

// Config is what the storage needs. Every field is required.
type Config struct {
	Namespaces coreinformers.NamespaceInformer
	HostClient kubernetes.Interface
	Visibility Visibility
	// Authorizer asks the cluster's API server.
	Authorizer authorizer.UnconditionalAuthorizer
	Applier    Applier
	Now        func() time.Time
}

// REST serves spaces.
type REST struct {
	tableConvertor
	Config
	floor floor
}

var (
	_ rest.Storage              = &REST{}
	_ rest.Getter               = &REST{}
	_ rest.Lister               = &REST{}
	_ rest.Creater              = &REST{}
	_ rest.Updater              = &REST{}
	_ rest.Patcher              = &REST{}
	_ rest.GracefulDeleter      = &REST{}
	_ rest.Scoper               = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// NewREST returns the storage.
func NewREST(c Config) *REST { return &REST{tableConvertor: tableConvertor{now: c.Now}, Config: c} }

// New returns an empty object, which tells the installer the resource's kind.
func (*REST) New() runtime.Object { return &clusterv1.Space{} }

// NewList returns an empty list, which tells the installer the list's kind.
func (*REST) NewList() runtime.Object { return &clusterv1.SpaceList{} }

// Destroy does nothing: the storage holds nothing open.
func (*REST) Destroy() {}

// NamespaceScoped says that the resource belongs to the cluster.
func (*REST) NamespaceScoped() bool { return false }

// GetSingularName returns the name of one object.
func (*REST) GetSingularName() string { return "space" }

// Get returns a space as it is now. Whether the person may was asked before.
func (r *REST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	namespace, err := r.namespace(ctx, name)
	if err != nil {
		return nil, err
	}
	return view.Space(namespace, r.Now()), nil
}

func (r *REST) namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	namespace, err := r.HostClient.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && !isSpace(namespace) {
		return nil, apierrors.NewNotFound(clusterv1.Resource(Resource), name)
	}
	return namespace, err
}

// isSpace says whether a namespace is one: it belongs to somebody, or has sleep mode set up.
func isSpace(namespace *corev1.Namespace) bool {
	return annotations.Owned(namespace.Labels) || annotations.Configured(namespace.Annotations)
}

// List returns the spaces that the person may see.
func (r *REST) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	person, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewInternalError(errors.New("no user in the context"))
	}
	if !r.Namespaces.Informer().HasSynced() {
		return nil, apierrors.NewServiceUnavailable("the cluster's namespaces are still being read; try again")
	}
	visible, err := r.Visibility.Visible(person)
	if err != nil {
		return nil, err
	}
	// Taken first: what is listed is at least as new.
	version := r.Namespaces.Informer().LastSyncResourceVersion()
	namespaces, err := r.Namespaces.Lister().List(labelSelector(options))
	if err != nil {
		return nil, err
	}
	list := &clusterv1.SpaceList{ListMeta: metav1.ListMeta{ResourceVersion: version}, Items: []clusterv1.Space{}}
	now := r.Now()
	for _, namespace := range namespaces {
		if visible.Has(namespace.Name) && isSpace(namespace) && selectsField(options, namespace) {
			list.Items = append(list.Items, *view.Space(namespace, now))
		}
	}
	return list, nil
}

func labelSelector(options *metainternalversion.ListOptions) labels.Selector {
	if options == nil || options.LabelSelector == nil {
		return labels.Everything()
	}
	return options.LabelSelector
}

// selectsField says whether the field selector of options, if there is one, matches a namespace.
func selectsField(options *metainternalversion.ListOptions, namespace *corev1.Namespace) bool {
	if options == nil || options.FieldSelector == nil {
		return true
	}
	return options.FieldSelector.Matches(fields.Set{
		metav1.ObjectNameField: namespace.Name, "spec.user": namespace.Labels[annotations.UserKey], "spec.team": namespace.Labels[annotations.TeamKey],
	})
}
