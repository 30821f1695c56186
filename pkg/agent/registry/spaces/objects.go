package spaces

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"loft.sh/agent/pkg/agent/sleepmode/workload"
)

const (
	// maxManifests bounds the manifests of a space, in bytes: they are kept in an annotation.
	maxManifests = 128 << 10
	// bindingWait is how long the API server may take to know the owner's binding.
	bindingWait = 5 * time.Second
)

// Manifests are objects of a space.
type Manifests []*unstructured.Unstructured

// HostApplier is an Applier of the host cluster.
type HostApplier struct {
	Config *rest.Config
	Mapper meta.RESTMapper
}

// Parse reads YAML documents or JSON. Every object must be of a kind that the cluster knows and that
// belongs to a namespace.
func (a HostApplier) Parse(text string) (Manifests, error) {
	if len(text) > maxManifests {
		return nil, fmt.Errorf("%d bytes are more than %d", len(text), maxManifests)
	}
	var manifests Manifests
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(text)), 4096)
	for i := 1; ; i++ {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return manifests, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", i, err)
		}
		if len(object.Object) == 0 {
			continue
		}
		if err := a.check(object); err != nil {
			return nil, fmt.Errorf("document %d: %w", i, err)
		}
		manifests = append(manifests, object)
	}
}

func (a HostApplier) check(object *unstructured.Unstructured) error {
	if object.GetKind() == "" || object.GetAPIVersion() == "" || object.GetName() == "" {
		return errors.New("apiVersion, kind and metadata.name are required")
	}
	kind := object.GroupVersionKind()
	mapping, err := a.Mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind.Kind, object.GetName(), err)
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return fmt.Errorf("%s %s: belongs to no namespace", kind.Kind, object.GetName())
	}
	return nil
}

// Apply applies manifests to a namespace as a person who may.
func (a HostApplier) Apply(ctx context.Context, person user.Info, namespace string, manifests Manifests) error {
	config := rest.CopyConfig(a.Config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: person.GetName(), UID: person.GetUID(), Groups: person.GetGroups(), Extra: person.GetExtra(),
	}
	if config.Impersonate.UserName == "" {
		return apierrors.NewInternalError(errors.New("nobody to apply manifests as"))
	}
	personClient, err := dynamic.NewForConfig(config)
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("client to apply manifests: %w", err))
	}
	for _, object := range manifests {
		if err := a.apply(ctx, personClient, namespace, object.DeepCopy()); err != nil {
			return fmt.Errorf("apply %s %s to space %s: %w", object.GetKind(), object.GetName(), namespace, err)
		}
	}
	return nil
}

func (a HostApplier) apply(ctx context.Context, personClient dynamic.Interface, namespace string, object *unstructured.Unstructured) error {
	if own := object.GetNamespace(); own != "" && own != namespace {
		return apierrors.NewBadRequest("it names another namespace: " + own)
	}
	object.SetNamespace(namespace)
	kind := object.GroupVersionKind()
	mapping, err := a.Mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	resource := personClient.Resource(mapping.Resource).Namespace(namespace)
	// The owner's binding takes the API server a moment to know.
	var last error
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, bindingWait, true, func(ctx context.Context) (bool, error) {
		_, last = resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: workload.FieldManager, Force: true})
		if apierrors.IsForbidden(last) {
			return false, nil
		}
		return true, last
	})
	if last != nil {
		return last
	}
	return err
}
