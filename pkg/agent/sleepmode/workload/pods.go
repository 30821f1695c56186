package workload

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// QuotaName is the name of the ResourceQuota that keeps new pods out of a namespace that sleeps.
const QuotaName = "loft-sleep-mode"

// keepExcluded finds what stays awake.
func (p *pass) keepExcluded(_ context.Context, _ schema.GroupVersionResource, object *unstructured.Unstructured) error {
	p.spares(object)
	return nil
}

// keepPodsOut lets no new pod into the namespace; those that are there stay. It does nothing where
// anything is excluded: that must be able to replace its pods.
func (p *pass) keepPodsOut(ctx context.Context) {
	if len(p.excluded) > 0 {
		return
	}
	quota := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ResourceQuota",
		"metadata": map[string]any{
			"name": QuotaName, "namespace": p.namespace,
			"labels": map[string]any{"app.kubernetes.io/managed-by": FieldManager},
		},
		"spec": map[string]any{"hard": map[string]any{"pods": "0"}},
	}}
	_, err := p.hostClient.Resource(quotas).Namespace(p.namespace).Create(ctx, quota, metav1.CreateOptions{FieldManager: FieldManager})
	switch {
	case err == nil, apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err):
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
	default:
		p.fail("resourcequotas/"+QuotaName, fmt.Errorf("create: %w", err))
	}
}

// letPodsIn takes back what keepPodsOut did.
func (p *pass) letPodsIn(ctx context.Context) {
	err := p.hostClient.Resource(quotas).Namespace(p.namespace).Delete(ctx, QuotaName, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		p.fail("resourcequotas/"+QuotaName, fmt.Errorf("delete: %w", err))
	}
}

// deletePod deletes a pod, whoever it belongs to, but one that is excluded or a node's own.
func (p *pass) deletePod(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured) error {
	_, isMirror := object.GetAnnotations()[corev1.MirrorPodAnnotationKey]
	if p.spares(object) || isMirror || object.GetDeletionTimestamp() != nil {
		return nil
	}
	uid := object.GetUID()
	err := p.hostClient.Resource(resource).Namespace(p.namespace).
		Delete(ctx, object.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if apierrors.IsConflict(err) {
		return nil // another pod of that name
	}
	return err
}
