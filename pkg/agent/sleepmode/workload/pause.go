package workload

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

// kedaPaused has KEDA leave what a ScaledObject scales as it is.
const kedaPaused = "autoscaling.keda.sh/paused"

// none stands for an annotation that was not there.
const none = "-"

// disabled is the select policy of an autoscaler that scales nothing up. A target without replicas
// stops most autoscalers by itself, but not one that may scale to 0 and back.
const disabled = "Disabled"

// suspend has a CronJob start nothing.
func (p *pass) suspend(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured) error {
	suspended, _, err := unstructured.NestedBool(object.Object, "spec", "suspend")
	if err != nil || suspended || p.spares(object) {
		return err
	}
	return p.change(ctx, resource, object, map[string]any{annotations.SuspendedKey: "true"}, map[string]any{"suspend": true})
}

// resume has a CronJob start again what it started before.
func (p *pass) resume(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured) error {
	if _, found := object.GetAnnotations()[annotations.SuspendedKey]; !found {
		return nil
	}
	return p.change(ctx, resource, object, map[string]any{annotations.SuspendedKey: nil}, map[string]any{"suspend": false})
}

// pauseAutoscaler has a HorizontalPodAutoscaler scale nothing up.
func (p *pass) pauseAutoscaler(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured) error {
	if _, found := object.GetAnnotations()[annotations.BehaviorKey]; found || p.spares(object) {
		return nil
	}
	behavior, _, err := unstructured.NestedMap(object.Object, "spec", "behavior")
	if err != nil {
		return fmt.Errorf("read behavior: %w", err)
	}
	return p.change(ctx, resource, object,
		map[string]any{annotations.BehaviorKey: string(mustEncode(behavior))},
		map[string]any{"behavior": map[string]any{"scaleUp": map[string]any{"selectPolicy": disabled}}})
}

// resumeAutoscaler gives a HorizontalPodAutoscaler the behavior back that it had; one that is not
// paused any more keeps what somebody gave it.
func (p *pass) resumeAutoscaler(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured) error {
	value, found := object.GetAnnotations()[annotations.BehaviorKey]
	if !found {
		return nil
	}
	forget := map[string]any{annotations.BehaviorKey: nil}
	if policy, _, _ := unstructured.NestedString(object.Object, "spec", "behavior", "scaleUp", "selectPolicy"); policy != disabled {
		return p.change(ctx, resource, object, forget, nil)
	}
	var before map[string]any
	if err := json.Unmarshal([]byte(value), &before); err != nil {
		return &annotations.Error{Key: annotations.BehaviorKey, Reason: err.Error()}
	}
	if before == nil {
		return p.change(ctx, resource, object, forget, map[string]any{"behavior": nil})
	}
	return p.change(ctx, resource, object, forget, map[string]any{"behavior": map[string]any{"scaleUp": before["scaleUp"]}})
}

// pauseScaledObject has KEDA leave what object scales as it is.
func (p *pass) pauseScaledObject(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured) error {
	if _, found := object.GetAnnotations()[annotations.PausedKey]; found || p.spares(object) {
		return nil
	}
	before, found := object.GetAnnotations()[kedaPaused]
	if !found {
		before = none
	}
	return p.change(ctx, resource, object, map[string]any{annotations.PausedKey: before, kedaPaused: "true"}, nil)
}

// resumeScaledObject has KEDA scale again.
func (p *pass) resumeScaledObject(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured) error {
	before, found := object.GetAnnotations()[annotations.PausedKey]
	if !found {
		return nil
	}
	notes := map[string]any{annotations.PausedKey: nil, kedaPaused: nil}
	if before != none {
		notes[kedaPaused] = before
	}
	return p.change(ctx, resource, object, notes, nil)
}

// change changes annotations and spec of object at once, if it is still the one that is known.
func (p *pass) change(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured, notes, spec map[string]any) error {
	patch := map[string]any{"metadata": map[string]any{"annotations": notes, "resourceVersion": object.GetResourceVersion()}}
	if spec != nil {
		patch["spec"] = spec
	}
	_, err := p.patch(ctx, resource, object.GetName(), mustEncode(patch))
	return err
}
