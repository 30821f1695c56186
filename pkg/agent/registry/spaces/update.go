package spaces

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/view"
	"loft.sh/agent/pkg/agent/sleepmode/workload"
)

// Update writes labels, annotations, owner and manifests of a space. All else is not the person's.
func (r *REST) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo, _ rest.ValidateObjectFunc,
	validate rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	namespace, err := r.namespace(ctx, name)
	if err != nil {
		return nil, false, err
	}
	current := view.Space(namespace, r.Now())
	object, err := info.UpdatedObject(ctx, current)
	if err != nil {
		return nil, false, err
	}
	space, ok := object.(*clusterv1.Space)
	person, known := request.UserFrom(ctx)
	if !ok || !known {
		return nil, false, apierrors.NewInternalError(errors.New("no Space, or no user in the context"))
	}
	if space.ResourceVersion != "" && space.ResourceVersion != namespace.ResourceVersion {
		return nil, false, apierrors.NewConflict(clusterv1.Resource(Resource), name, errChanged)
	}
	manifests, err := r.check(ctx, space, namespace, person)
	if err != nil {
		return nil, false, err
	}
	if validate != nil {
		if err := validate(ctx, space, current); err != nil {
			return nil, false, err
		}
	}
	written, err := r.HostClient.CoreV1().Namespaces().Patch(ctx, name, types.MergePatchType, patchOf(space, namespace),
		metav1.PatchOptions{FieldManager: workload.FieldManager, DryRun: options.DryRun})
	if err != nil {
		return nil, false, ofSpace(err, name)
	}
	if len(options.DryRun) == 0 {
		if space.Spec.Objects == current.Spec.Objects {
			manifests = nil
		}
		if err := r.furnish(ctx, written, space.Spec, person, manifests); err != nil {
			return nil, false, err
		}
	}
	return view.Space(written, r.Now()), false, nil
}

// patchOf is the merge patch that makes a namespace what its space is to be, if it still is the one
// that is known.
func patchOf(space *clusterv1.Space, namespace *corev1.Namespace) []byte {
	patch := map[string]any{"metadata": map[string]any{
		"resourceVersion": namespace.ResourceVersion,
		"labels":          difference(namespace.Labels, labelsOf(space)),
		"annotations":     difference(namespace.Annotations, annotationsOf(space)),
	}}
	data, err := json.Marshal(patch)
	if err != nil {
		panic(fmt.Sprintf("encode patch: %v", err)) // strings alone: cannot fail
	}
	return data
}

// difference is the merge patch that makes after of before.
func difference(before, after map[string]string) map[string]any {
	patch := map[string]any{}
	for key, value := range after {
		if old, found := before[key]; !found || old != value {
			patch[key] = value
		}
	}
	for key := range before {
		if _, found := after[key]; !found {
			patch[key] = nil
		}
	}
	return patch
}

// Delete deletes the namespace. It is gone when everything in it is.
func (r *REST) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	namespace, err := r.namespace(ctx, name)
	if err != nil {
		return nil, false, err
	}
	space := view.Space(namespace, r.Now())
	if validate != nil {
		if err := validate(ctx, space); err != nil {
			return nil, false, err
		}
	}
	if err := r.HostClient.CoreV1().Namespaces().Delete(ctx, name, *options); err != nil {
		return nil, false, ofSpace(err, name)
	}
	space.Status.Phase = corev1.NamespaceTerminating
	return space, false, nil
}
