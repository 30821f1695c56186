package sandbox

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"loft.sh/agent/artifacts"
	"loft.sh/agent/test/controlplane"
)

const (
	agentNamespace = "loft"
	agentAccount   = "loft-agent"
	trustConfigMap = "loft-agent-trust"
	trustKey       = "bundle.json"
	apiService     = "v1.cluster.loft.sh"
	innerService   = "loft-agent-apiservice"
	// unmanaged has the manager leave an object alone.
	unmanaged = "loft.sh/unmanaged"
)

// pki is what the agent's certificates are signed by.
type pki struct{ ca *controlplane.CA }

// makeKeys makes the key that signs tokens, and the agent's certificate.
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
	return s.makeCertificates(ctx)
}

// makeCertificates makes the agent's serving certificate and finds its ports.
func (s *Sandbox) makeCertificates(context.Context) (err error) {
	if s.ports, err = freePorts(); err != nil {
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
	return s.applyAgent(ctx, s.adapt)
}

// applyWay applies the part of artifacts/agent that leads to the agent, and has whoever installs the
// agent leave it alone.
func (s *Sandbox) applyWay(ctx context.Context) error {
	return s.applyAgent(ctx, func(object *unstructured.Unstructured) (bool, error) {
		switch object.GetKind() {
		case "Namespace":
			return true, nil
		case "Service", "APIService":
			object.SetAnnotations(map[string]string{unmanaged: "true"})
			return s.adapt(object)
		}
		return false, nil
	})
}

// applyAgent applies the objects of artifacts/agent that adapt wants, in the form that it gives them.
func (s *Sandbox) applyAgent(ctx context.Context, adapt func(*unstructured.Unstructured) (wanted bool, err error)) error {
	objects, err := artifacts.AgentObjects()
	if err != nil {
		return err
	}
	var wanted []*unstructured.Unstructured
	for _, object := range objects {
		ok, err := adapt(object)
		if err != nil {
			return fmt.Errorf("adapt %s %q: %w", object.GetKind(), object.GetName(), err)
		}
		if ok {
			wanted = append(wanted, object)
		}
	}
	return Apply(ctx, s.cluster.RESTConfig(), wanted)
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
	}
	return true, LeadHere(object, s.ports.inner, s.pki.ca)
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

func (s *Sandbox) awaitAPIService(ctx context.Context) error {
	return AwaitAPIService(ctx, s.cluster.RESTConfig(), apiService)
}
