package installer

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/netfault"
)

// container is the agent's in its Deployment.
const container = "loft-agent"

// caInjection asks cert-manager for the caBundle, which is ours to set.
const caInjection = "cert-manager.io/inject-ca-from"

// render makes the objects of a Cluster's agent, in the order to apply them.
func (i *Installer) render(cluster *storagev1.Cluster) ([]*unstructured.Unstructured, error) {
	var rendered []*unstructured.Unstructured
	for _, object := range i.objects {
		object = object.DeepCopy()
		switch {
		case object.GetKind() == "ClusterRoleBinding" && object.GetName() == EndpointUserRole:
			continue
		case object.GetKind() == "APIService":
			unstructured.RemoveNestedField(object.Object, "metadata", "annotations", caInjection)
		case object.GetKind() == "Deployment":
			var err error
			if object, err = i.renderDeployment(object, &cluster.Spec.Agent); err != nil {
				return nil, &Error{ReasonValuesInvalid, err.Error(), err}
			}
		}
		rendered = append(rendered, object)
	}
	return rendered, nil
}

func (i *Installer) renderDeployment(object *unstructured.Unstructured, agent *storagev1.ClusterAgent) (*unstructured.Unstructured, error) {
	deployment := &appsv1.Deployment{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, deployment); err != nil {
		return nil, fmt.Errorf("the agent's Deployment: %w", err)
	}
	if agent.Replicas != nil {
		deployment.Spec.Replicas = agent.Replicas
	}
	if err := setImage(deployment, i.image); err != nil {
		return nil, err
	}
	if err := setImage(deployment, agent.Image); err != nil {
		return nil, err
	}
	if agent.Values != nil && len(agent.Values.Raw) > 0 {
		if err := merge(&deployment.Spec, agent.Values.Raw); err != nil {
			return nil, err
		}
	}
	return withSpec(object, &deployment.Spec)
}

func setImage(deployment *appsv1.Deployment, image string) error {
	if image == "" {
		return nil
	}
	containers := deployment.Spec.Template.Spec.Containers
	for i := range containers {
		if containers[i].Name == container {
			containers[i].Image = image
			return nil
		}
	}
	return fmt.Errorf("the agent's Deployment has no container %q", container)
}

// merge puts values over spec. A field that a Deployment does not have is an error: it would be
// dropped, and nobody would know.
func merge(spec *appsv1.DeploymentSpec, values []byte) error {
	original, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("the agent's Deployment: %w", err)
	}
	merged, err := strategicpatch.StrategicMergePatch(original, values, appsv1.DeploymentSpec{})
	if err != nil {
		return fmt.Errorf("spec.agent.values is no strategic merge patch of a Deployment's spec: %w", err)
	}
	var fields map[string]any
	if err := json.Unmarshal(merged, &fields); err != nil {
		return fmt.Errorf("spec.agent.values: %w", err)
	}
	*spec = appsv1.DeploymentSpec{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(fields, spec, true); err != nil {
		return fmt.Errorf("spec.agent.values does not give a Deployment's spec: %w", err)
	}
	return nil
}

// withSpec keeps everything of object but its spec. What is empty must not be applied: it would be ours.
func withSpec(object *unstructured.Unstructured, spec *appsv1.DeploymentSpec) (*unstructured.Unstructured, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(spec)
	if err != nil {
		return nil, fmt.Errorf("the agent's Deployment: %w", err)
	}
	unstructured.RemoveNestedField(fields, "template", "metadata", "creationTimestamp")
	object.Object["spec"] = fields
	return object, nil
}

// reasonOf words an error without what differs from one try to the next.
func reasonOf(err error) string {
	_, message := netfault.Of(err)
	return message
}
