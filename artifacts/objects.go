package artifacts

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const kustomizationFile = "kustomization.yaml"

// AgentObjects returns the objects that install the agent, in the order to apply them.
func AgentObjects() ([]*unstructured.Unstructured, error) { return objectsOf("agent") }

// ConnectObjects returns the objects by which the manager may enter a cluster, in the order to
// apply them: its service account there, the account's token and its rights.
func ConnectObjects() ([]*unstructured.Unstructured, error) { return objectsOf("connect") }

// ManagerObjects returns the objects that install the manager, in the order to apply them.
func ManagerObjects() ([]*unstructured.Unstructured, error) { return objectsOf("manager") }

func objectsOf(name string) ([]*unstructured.Unstructured, error) {
	files, err := folder(name)
	if err != nil {
		return nil, err
	}
	names, err := applyOrder(files)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, name := range names {
		inFile, err := ReadObjects(files, name)
		if err != nil {
			return nil, err
		}
		objects = append(objects, inFile...)
	}
	return objects, nil
}

// AgentArgs returns the arguments of the agent's container, as the Deployment has them.
func AgentArgs() ([]string, error) { return argsOf("agent") }

// ManagerArgs returns the arguments of the manager's container, as the Deployment has them.
func ManagerArgs() ([]string, error) { return argsOf("manager") }

func argsOf(name string) ([]string, error) {
	deployment, err := deploymentOf(name)
	if err != nil {
		return nil, err
	}
	containers := deployment.Spec.Template.Spec.Containers
	if len(containers) != 1 {
		return nil, fmt.Errorf("the Deployment in %q has %d containers instead of one", name, len(containers))
	}
	return containers[0].Args, nil
}

// ReadObjects returns the objects of one file, which may hold several documents. A key that stands
// twice is an error.
func ReadObjects(files fs.FS, name string) ([]*unstructured.Unstructured, error) {
	content, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
	var objects []*unstructured.Unstructured
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read manifest %q: %w", name, err)
		}
		object, err := parse(document)
		if err != nil {
			return nil, fmt.Errorf("parse manifest %q: %w", name, err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// parse goes by way of JSON, since an unstructured object holds whole numbers as int64.
func parse(document []byte) (*unstructured.Unstructured, error) {
	asJSON, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	return object, utiljson.Unmarshal(asJSON, &object.Object)
}

func applyOrder(files fs.FS) ([]string, error) {
	content, err := fs.ReadFile(files, kustomizationFile)
	if err != nil {
		return nil, fmt.Errorf("read the order of manifests: %w", err)
	}
	var kustomization struct {
		Resources []string `json:"resources"`
	}
	if err := yaml.Unmarshal(content, &kustomization); err != nil {
		return nil, fmt.Errorf("parse %q: %w", kustomizationFile, err)
	}
	return kustomization.Resources, nil
}

func deploymentOf(name string) (*appsv1.Deployment, error) {
	objects, err := objectsOf(name)
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		if object.GetKind() != "Deployment" {
			continue
		}
		deployment := &appsv1.Deployment{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, deployment); err != nil {
			return nil, fmt.Errorf("convert Deployment %q: %w", object.GetName(), err)
		}
		return deployment, nil
	}
	return nil, fmt.Errorf("the manifests in %q hold no Deployment", name)
}
