package clusters

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericrest "k8s.io/apiserver/pkg/registry/rest"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/connection"
)

const (
	// secretPrefix stands before a cluster's name in the name of the Secret with its kubeconfig.
	secretPrefix = "loft-cluster-"
	fieldManager = "loft-manager"
)

// Secrets are where kubeconfigs are kept.
type Secrets struct {
	// Client reaches the Secrets of Namespace, the manager's own.
	Client    corev1client.SecretInterface
	Namespace string
}

// KubeconfigREST takes the kubeconfig of a cluster, and gives none back.
type KubeconfigREST struct {
	clusters *REST
	storage  rest.Interface
	secrets  Secrets
}

var (
	_ genericrest.NamedCreater = &KubeconfigREST{}
	_ genericrest.Scoper       = &KubeconfigREST{}
)

// NewKubeconfigREST returns the storage of kubeconfig. storage reaches the custom resources.
func NewKubeconfigREST(clusters *REST, storage rest.Interface, secrets Secrets) *KubeconfigREST {
	return &KubeconfigREST{clusters: clusters, storage: storage, secrets: secrets}
}

// New returns an empty object.
func (*KubeconfigREST) New() runtime.Object { return &managementv1.ClusterKubeconfig{} }

// Destroy does nothing: the storage holds nothing open.
func (*KubeconfigREST) Destroy() {}

// NamespaceScoped says that the resource belongs to the cluster.
func (*KubeconfigREST) NamespaceScoped() bool { return false }

// Create keeps the kubeconfig in a Secret that goes when the cluster does, and has the Cluster name
// it. The Secret comes first, so that the Cluster never names one that is not there.
func (r *KubeconfigREST) Create(ctx context.Context, name string, obj runtime.Object, validate genericrest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	given, ok := obj.(*managementv1.ClusterKubeconfig)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a ClusterKubeconfig: %T", obj))
	}
	cluster, err := seen(ctx, r.clusters, name)
	if err != nil {
		return nil, err
	}
	if given.Name != "" && given.Name != name {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("metadata.name: %q is not the cluster's name, %q", given.Name, name))
	}
	if err := connection.Validate([]byte(given.Spec.Config)); err != nil {
		return nil, apierrors.NewInvalid(managementv1.Kind("ClusterKubeconfig"), name,
			field.ErrorList{field.Invalid(field.NewPath("spec", "config"), field.OmitValueType{}, err.Error())})
	}
	if validate != nil {
		if err := validate(ctx, obj); err != nil {
			return nil, err
		}
	}
	if err := r.keep(ctx, cluster, given.Spec.Config, options.DryRun); err != nil {
		return nil, err
	}
	return &managementv1.ClusterKubeconfig{ObjectMeta: about(cluster)}, nil
}

func (r *KubeconfigREST) keep(ctx context.Context, cluster metav1.Object, kubeconfig string, dryRun []string) error {
	name := secretPrefix + cluster.GetName()
	secret := applycorev1.Secret(name, r.secrets.Namespace).
		WithLabels(map[string]string{"app.kubernetes.io/managed-by": fieldManager}).
		WithOwnerReferences(applymetav1.OwnerReference().
			WithAPIVersion(storagev1.SchemeGroupVersion.String()).WithKind("Cluster").WithName(cluster.GetName()).WithUID(cluster.GetUID())).
		WithData(map[string][]byte{connection.DefaultKey: []byte(kubeconfig)})
	if _, err := r.secrets.Client.Apply(ctx, secret, metav1.ApplyOptions{FieldManager: fieldManager, Force: true, DryRun: dryRun}); err != nil {
		return unavailable("keep the kubeconfig", err)
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"config": map[string]any{
		"secretName": name, "secretNamespace": r.secrets.Namespace, "key": connection.DefaultKey,
	}}})
	if err != nil {
		return fmt.Errorf("encode the patch of a Cluster: %w", err)
	}
	if err := r.storage.Patch(types.MergePatchType).Resource("clusters").Name(cluster.GetName()).
		VersionedParams(&metav1.PatchOptions{FieldManager: fieldManager, DryRun: dryRun}, metav1.ParameterCodec).
		Body(patch).Do(ctx).Error(); err != nil {
		return unavailable("have the Cluster name its Secret", err)
	}
	return nil
}

// unavailable says what the manager could not do with its own rights, which are no business of the
// person's.
func unavailable(what string, err error) error {
	return apierrors.NewInternalError(fmt.Errorf("%s: %w", what, err))
}
