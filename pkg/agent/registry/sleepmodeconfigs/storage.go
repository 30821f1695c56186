package sleepmodeconfigs

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
	"loft.sh/agent/pkg/agent/sleepmode/view"
	"loft.sh/agent/pkg/agent/sleepmode/workload"
)

// Resource is the resource's name.
const Resource = "sleepmodeconfigs"

// REST serves configurations of sleep mode.
type REST struct {
	tableConvertor
	lister     corelisters.NamespaceLister
	hostClient typedcorev1.NamespaceInterface
	now        func() time.Time
}

var (
	_ rest.Storage              = &REST{}
	_ rest.Getter               = &REST{}
	_ rest.Lister               = &REST{}
	_ rest.Creater              = &REST{}
	_ rest.Updater              = &REST{}
	_ rest.Patcher              = &REST{}
	_ rest.Scoper               = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// NewREST returns the storage. Lists come from lister, what is about one namespace from hostClient.
func NewREST(lister corelisters.NamespaceLister, hostClient typedcorev1.NamespaceInterface, now func() time.Time) *REST {
	return &REST{tableConvertor: tableConvertor{now: now}, lister: lister, hostClient: hostClient, now: now}
}

// New returns an empty object, which tells the installer the resource's kind.
func (*REST) New() runtime.Object { return &clusterv1.SleepModeConfig{} }

// NewList returns an empty list, which tells the installer the list's kind.
func (*REST) NewList() runtime.Object { return &clusterv1.SleepModeConfigList{} }

// Destroy does nothing: the storage holds nothing open.
func (*REST) Destroy() {}

// NamespaceScoped says that the resource belongs to namespaces.
func (*REST) NamespaceScoped() bool { return true }

// GetSingularName returns the name of one object.
func (*REST) GetSingularName() string { return "sleepmodeconfig" }

// Get returns the one of the namespace in the context.
func (r *REST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	namespace, err := r.namespace(ctx, name)
	if err != nil {
		return nil, err
	}
	return view.Config(namespace, r.now()), nil
}

// namespace reads the namespace in the context, whose configuration has that name.
func (r *REST) namespace(ctx context.Context, name string) (*corev1.Namespace, error) {
	if name != clusterv1.SleepModeConfigName {
		return nil, apierrors.NewNotFound(clusterv1.Resource(Resource), name)
	}
	return r.hostClient.Get(ctx, request.NamespaceValue(ctx), metav1.GetOptions{})
}

// List returns the one of the namespace in the context, or those of all namespaces.
func (r *REST) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	namespaces, err := r.namespaces(ctx)
	if err != nil {
		return nil, err
	}
	list := &clusterv1.SleepModeConfigList{Items: []clusterv1.SleepModeConfig{}}
	for _, namespace := range namespaces {
		if config := view.Config(namespace, r.now()); selects(options, config) {
			list.Items = append(list.Items, *config)
		}
	}
	return list, nil
}

func (r *REST) namespaces(ctx context.Context) ([]*corev1.Namespace, error) {
	if name := request.NamespaceValue(ctx); name != "" {
		namespace, err := r.hostClient.Get(ctx, name, metav1.GetOptions{})
		return []*corev1.Namespace{namespace}, err
	}
	return r.lister.List(labels.Everything())
}

// selects says whether the selectors of options, if there are any, match a configuration.
func selects(options *metainternalversion.ListOptions, config *clusterv1.SleepModeConfig) bool {
	if options == nil {
		return true
	}
	if s := options.LabelSelector; s != nil && !s.Matches(labels.Set(config.Labels)) {
		return false
	}
	s := options.FieldSelector
	return s == nil || s.Matches(fields.Set{"metadata.name": config.Name, "metadata.namespace": config.Namespace})
}

// Create updates the one of the namespace in the context.
func (r *REST) Create(ctx context.Context, object runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	config, ok := object.(*clusterv1.SleepModeConfig)
	if !ok {
		return nil, apierrors.NewBadRequest("the object is no SleepModeConfig")
	}
	if config.Name != "" && config.Name != clusterv1.SleepModeConfigName {
		return nil, apierrors.NewBadRequest(`metadata.name: the one SleepModeConfig of a namespace is named "config"`)
	}
	namespace, err := r.namespace(ctx, clusterv1.SleepModeConfigName)
	if err != nil {
		return nil, err
	}
	if config.UID != "" && config.UID != namespace.UID {
		return nil, apierrors.NewConflict(clusterv1.Resource(Resource), config.Name, errAnother)
	}
	if validate != nil {
		if err := validate(ctx, object); err != nil {
			return nil, err
		}
	}
	return r.write(ctx, namespace, config, "", options.DryRun)
}

// Update writes what the caller makes of the one of the namespace in the context.
func (r *REST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc,
	validate rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	namespace, err := r.namespace(ctx, name)
	if err != nil {
		return nil, false, err
	}
	current := view.Config(namespace, r.now())
	updated, err := info.UpdatedObject(ctx, current)
	if err != nil {
		return nil, false, err
	}
	config, ok := updated.(*clusterv1.SleepModeConfig)
	if !ok {
		return nil, false, apierrors.NewBadRequest("the object is no SleepModeConfig")
	}
	if config.ResourceVersion != "" && config.ResourceVersion != namespace.ResourceVersion {
		return nil, false, apierrors.NewConflict(clusterv1.Resource(Resource), name, errChanged)
	}
	if validate != nil {
		if err := validate(ctx, updated, current); err != nil {
			return nil, false, err
		}
	}
	written, err := r.write(ctx, namespace, config, config.ResourceVersion, options.DryRun)
	return written, false, err
}

// write writes the settings of a configuration, and its last activity where it is newer.
func (r *REST) write(ctx context.Context, namespace *corev1.Namespace, config *clusterv1.SleepModeConfig, version string, dryRun []string) (runtime.Object, error) {
	if errs := Validate(config); len(errs) > 0 {
		return nil, apierrors.NewInvalid(clusterv1.Kind("SleepModeConfig"), clusterv1.SleepModeConfigName, errs)
	}
	before, _ := annotations.ReadNamespace(namespace.Annotations)
	change := annotations.Change{}
	change.SetSpec(config.Spec)
	if last := r.activity(before, config); last > before.Status.LastActivity {
		change.SetActivity(last, byHand(ctx))
	}
	if change = change.Against(namespace.Annotations); len(change) == 0 {
		return view.Config(namespace, r.now()), nil
	}
	written, err := r.hostClient.Patch(ctx, namespace.Name, types.MergePatchType, change.Patch(version),
		metav1.PatchOptions{FieldManager: workload.FieldManager, DryRun: dryRun})
	if err != nil {
		return nil, err
	}
	return view.Config(written, r.now()), nil
}

// activity is when a configuration says there last was activity, but not in the future; in what
// sleeps since this second, after that.
func (r *REST) activity(before annotations.Namespace, config *clusterv1.SleepModeConfig) int64 {
	now := r.now().Unix()
	last := min(config.Status.LastActivity, now)
	if since := max(before.Status.SleepingSince, before.ForcedSince); before.Phase != annotations.Awake && last == since {
		last = since + 1
	}
	return last
}

// byHand is the activity of whoever says that there is some.
func byHand(ctx context.Context) *clusterv1.LastActivityInfo {
	info := &clusterv1.LastActivityInfo{Verb: "update", APIGroup: clusterv1.GroupName, Resource: Resource, Name: clusterv1.SleepModeConfigName}
	if person, ok := request.UserFrom(ctx); ok {
		info.Subject = annotations.Person(person.GetName())
	}
	return info
}
