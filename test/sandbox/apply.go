package sandbox

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"loft.sh/agent/test/controlplane"
)

const fieldManager = "sandbox"

// LeadHere has a Service or an APIService lead to a port of this machine, where a certificate of ca is
// served. Other objects stay as they are.
func LeadHere(object *unstructured.Unstructured, port int, ca *controlplane.CA) error {
	switch object.GetKind() {
	case "Service":
		object.Object["spec"] = map[string]any{
			"type": string(corev1.ServiceTypeExternalName), "externalName": "localhost",
			"ports": []any{map[string]any{"name": "https", "port": int64(port)}},
		}
	case "APIService":
		return errors.Join(
			unstructured.SetNestedField(object.Object, int64(port), "spec", "service", "port"),
			unstructured.SetNestedField(object.Object, base64.StdEncoding.EncodeToString(ca.CertPEM()), "spec", "caBundle"))
	}
	return nil
}

// Apply applies objects, one after the other, as the sandbox's field manager.
func Apply(ctx context.Context, config *rest.Config, objects []*unstructured.Unstructured) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client to apply objects: %w", err)
	}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client to apply objects: %w", err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(typed.Discovery()))
	for _, object := range objects {
		if err := apply(ctx, client, mapper, object); err != nil {
			return err
		}
	}
	return nil
}

func apply(ctx context.Context, client dynamic.Interface, mapper meta.RESTMapper, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return fmt.Errorf("%s %q: %w", kind.Kind, object.GetName(), err)
	}
	var resource dynamic.ResourceInterface = client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		resource = client.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	if _, err := resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
		return fmt.Errorf("apply %s %q: %w", kind.Kind, object.GetName(), err)
	}
	return nil
}

// AwaitAPIService waits until the aggregator reaches the server behind an APIService.
func AwaitAPIService(ctx context.Context, config *rest.Config, name string) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client to wait for an APIService: %w", err)
	}
	services := client.Resource(schema.GroupVersionResource{
		Group: apiregistrationv1.GroupName, Version: "v1", Resource: "apiservices",
	})
	var last string
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		object, err := services.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			last = err.Error()
			return false, nil
		}
		var available bool
		available, last = isAvailable(object)
		return available, nil
	})
	if err != nil {
		return fmt.Errorf("APIService %s: %w: %s", name, err, last)
	}
	return nil
}

func isAvailable(object *unstructured.Unstructured) (bool, string) {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		condition, ok := c.(map[string]any)
		if ok && condition["type"] == "Available" {
			return condition["status"] == "True", fmt.Sprint(condition["message"])
		}
	}
	return false, "no condition Available"
}
