package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

// scaleDown writes down how many replicas object has, then takes them.
func (p *pass) scaleDown(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured) error {
	if p.spares(object) || isOwned(resource, object) {
		return nil
	}
	replicas, err := replicasOf(object)
	if err != nil || replicas == 0 {
		return err
	}
	before, found := object.GetAnnotations()[annotations.ReplicasKey]
	if found && !p.written[object.GetUID()] && before != strconv.FormatInt(replicas, 10) {
		return nil // somebody scaled it since it was scaled down
	}
	if !found || p.written[object.GetUID()] {
		change := annotations.Change{}
		change.Set(annotations.ReplicasKey, strconv.FormatInt(replicas, 10))
		if object, err = p.patch(ctx, resource, object.GetName(), change.Patch(object.GetResourceVersion())); err != nil {
			return fmt.Errorf("remember %d replicas: %w", replicas, err)
		}
		p.written[object.GetUID()] = true
	}
	if err := p.scale(ctx, resource, object, 0); err != nil {
		return err
	}
	p.result.Replicas += replicas
	return nil
}

// scaleUp gives object the replicas back that it had, and forgets them. Whoever has replicas already
// got them from somebody else.
func (p *pass) scaleUp(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured) error {
	before, found, err := annotations.Replicas(object.GetAnnotations())
	// A deployment copies its annotations to its replica sets, old ones too.
	if !found || err != nil || isOwned(resource, object) {
		return err
	}
	replicas, err := replicasOf(object)
	if err != nil {
		return err
	}
	if replicas == 0 {
		if err := p.scale(ctx, resource, object, int64(before)); err != nil {
			return err
		}
		p.result.Replicas += int64(before)
	}
	change := annotations.Change{}
	change.Remove(annotations.ReplicasKey)
	if _, err := p.patch(ctx, resource, object.GetName(), change.Patch("")); err != nil {
		return fmt.Errorf("forget %d replicas: %w", before, err)
	}
	return nil
}

// spares says whether an object is excluded or belongs to one that is, and remembers it. Owners come
// before what they own: deployments before replica sets, and all before pods.
func (p *pass) spares(object *unstructured.Unstructured) bool {
	owner := metav1.GetControllerOf(object)
	if annotations.Excluded(object.GetAnnotations()) || owner != nil && p.excluded[owner.UID] {
		p.excluded[object.GetUID()] = true
		return true
	}
	return false
}

// isOwned says whether the replicas of an object are another's to set.
func isOwned(resource schema.GroupVersionResource, object *unstructured.Unstructured) bool {
	return (resource == replicaSets || resource == controllers) && metav1.GetControllerOf(object) != nil
}

// replicasOf are the replicas that object is to have; 1 where it doesn't say.
func replicasOf(object *unstructured.Unstructured) (int64, error) {
	replicas, found, err := unstructured.NestedInt64(object.Object, "spec", "replicas")
	if err != nil {
		return 0, fmt.Errorf("read replicas: %w", err)
	}
	if !found {
		return 1, nil
	}
	return replicas, nil
}

// scale sets the replicas of object, if it is still the one that is known.
func (p *pass) scale(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured, replicas int64) error {
	patch := mustEncode(map[string]any{
		"metadata": map[string]any{"resourceVersion": object.GetResourceVersion()},
		"spec":     map[string]any{"replicas": replicas},
	})
	if _, err := p.patch(ctx, resource, object.GetName(), patch, "scale"); err != nil {
		return fmt.Errorf("scale to %d: %w", replicas, err)
	}
	return nil
}

func (p *pass) patch(ctx context.Context, resource schema.GroupVersionResource, name string, patch []byte, subresources ...string) (*unstructured.Unstructured, error) {
	return p.hostClient.Resource(resource).Namespace(p.namespace).
		Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: FieldManager}, subresources...)
}

func mustEncode(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("encode patch: %v", err)) // plain values alone: cannot fail
	}
	return data
}
