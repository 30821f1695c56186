package installer

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// Remove takes the agent out of a cluster: the APIService first, since without a server behind it the
// cluster cannot delete namespaces. What is annotated as unmanaged stays, and so does the namespace.
// The error is an *Error; calling it again goes on where it stopped.
func (i *Installer) Remove(ctx context.Context, host dynamic.Interface) error {
	for _, object := range i.inReverse() {
		if object.GetKind() == "Namespace" {
			continue
		}
		if err := remove(ctx, host, object); err != nil {
			return err
		}
	}
	live, err := readServing(ctx, host)
	if err != nil {
		return err
	}
	if live != nil && !foreign(live) {
		return remove(ctx, host, servingObject())
	}
	return nil
}

// RemoveTrust takes the trust bundle away, with which the agent forgets the manager.
func RemoveTrust(ctx context.Context, host dynamic.Interface) error {
	return remove(ctx, host, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": TrustConfigMap, "namespace": Namespace},
	}})
}

func remove(ctx context.Context, host dynamic.Interface, object *unstructured.Unstructured) error {
	client := clientFor(host, object)
	live, err := client.Get(ctx, object.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return failed("read", object, err)
	}
	if Unmanaged(live.GetAnnotations()) {
		return nil
	}
	uid := live.GetUID()
	err = client.Delete(ctx, object.GetName(), metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: (*types.UID)(&uid)}, PropagationPolicy: new(metav1.DeletePropagationBackground),
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return failed("delete", object, err)
	}
	if object.GetKind() != "APIService" {
		return nil
	}
	if live, err = client.Get(ctx, object.GetName(), metav1.GetOptions{}); err == nil && live.GetUID() == uid {
		return failed("delete", object, fmt.Errorf("it is still there"))
	}
	return nil
}
