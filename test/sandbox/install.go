package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"loft.sh/agent/artifacts"
	"loft.sh/agent/test/controlplane"
)

const (
	agentNamespace = "loft"
	agentAccount   = "loft-agent"
	trustConfigMap = "loft-agent-trust"
	trustKey       = "bundle.json"
	fieldManager   = "sandbox"
	apiService     = "v1.cluster.loft.sh"
	innerService   = "loft-agent-apiservice"
)

// pki is what the agent's certificates are signed by.
type pki struct{ ca *controlplane.CA }

// makeKeys makes the key that signs tokens, and the agent's serving certificate.
func (s *Sandbox) makeKeys(ctx context.Context) error {
	client, err := s.adminClient()
	if err != nil {
		return err
	}
	namespace, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("cluster UID: %w", err)
	}
	if s.keys, err = createKeys(s.opts.Dir, string(namespace.UID)); err != nil {
		return err
	}
	if s.pki.ca, err = controlplane.NewCA("endpoint-ca"); err != nil {
		return err
	}
	if _, _, err := s.pki.ca.KeyPair().WriteFiles(s.path("pki"), "endpoint-ca"); err != nil {
		return err
	}
	pair, err := s.pki.ca.IssueServing("localhost", "127.0.0.1", innerService+"."+agentNamespace+".svc")
	if err != nil {
		return err
	}
	_, _, err = pair.WriteFiles(s.path("pki"), "agent")
	return err
}

// applyManifests applies artifacts/agent as it is, but for what a sandbox has otherwise: the agent
// is a process beside the cluster, so its Service names this machine.
func (s *Sandbox) applyManifests(ctx context.Context) error {
	objects, err := artifacts.AgentObjects()
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(s.cluster.RESTConfig())
	if err != nil {
		return fmt.Errorf("client of the connected cluster: %w", err)
	}
	typed, err := s.adminClient()
	if err != nil {
		return err
	}
	if s.ports, err = freePorts(); err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(typed.Discovery()))
	for _, object := range objects {
		wanted, err := s.adapt(object)
		if err != nil {
			return fmt.Errorf("adapt %s %q: %w", object.GetKind(), object.GetName(), err)
		}
		if !wanted {
			continue
		}
		if err := apply(ctx, client, mapper, object); err != nil {
			return err
		}
	}
	return nil
}

// adapt changes an object for the sandbox, or says that it has no place in one.
func (s *Sandbox) adapt(object *unstructured.Unstructured) (wanted bool, err error) {
	switch object.GetKind() {
	case "Deployment", "PodDisruptionBudget", "NetworkPolicy":
		return false, nil
	case "Service":
		if object.GetName() != innerService {
			return false, nil
		}
		object.Object["spec"] = map[string]any{
			"type": string(corev1.ServiceTypeExternalName), "externalName": "localhost",
			"ports": []any{map[string]any{"name": "https", "port": int64(s.ports.inner)}},
		}
	case "APIService":
		err = errors.Join(
			unstructured.SetNestedField(object.Object, int64(s.ports.inner), "spec", "service", "port"),
			unstructured.SetNestedField(object.Object, base64PEM(s.pki.ca.CertPEM()), "spec", "caBundle"))
	}
	return true, err
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

// writeTrust stores the trust bundle where the agent reads it.
func (s *Sandbox) writeTrust(ctx context.Context) error {
	data, err := s.keys.bundle(s.keys.clusterUID).Encode()
	if err != nil {
		return err
	}
	client, err := s.adminClient()
	if err != nil {
		return err
	}
	return SetTrustBundle(ctx, client, data)
}

// SetTrustBundle creates or replaces the bundle that the agent reads. data may be a bad one.
func SetTrustBundle(ctx context.Context, client kubernetes.Interface, data []byte) error {
	configMaps := client.CoreV1().ConfigMaps(agentNamespace)
	configMap := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: trustConfigMap, Namespace: agentNamespace},
		Data:       map[string]string{trustKey: string(data)},
	}
	_, err := configMaps.Create(ctx, configMap, metav1.CreateOptions{FieldManager: fieldManager})
	if apierrors.IsAlreadyExists(err) {
		_, err = configMaps.Update(ctx, configMap, metav1.UpdateOptions{FieldManager: fieldManager})
	}
	if err != nil {
		return fmt.Errorf("trust bundle: %w", err)
	}
	return nil
}

// awaitAPIService waits until the aggregator reaches the agent.
func (s *Sandbox) awaitAPIService(ctx context.Context) error {
	client, err := dynamic.NewForConfig(s.cluster.RESTConfig())
	if err != nil {
		return fmt.Errorf("client of the connected cluster: %w", err)
	}
	services := client.Resource(schema.GroupVersionResource{
		Group: apiregistrationv1.GroupName, Version: "v1", Resource: "apiservices",
	})
	var last string
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		object, err := services.Get(ctx, apiService, metav1.GetOptions{})
		if err != nil {
			last = err.Error()
			return false, nil
		}
		var available bool
		available, last = isAvailable(object)
		return available, nil
	})
	if err != nil {
		return fmt.Errorf("APIService %s: %w: %s", apiService, err, last)
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
