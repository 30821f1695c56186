package integration

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"loft.sh/agent/artifacts"
	"loft.sh/agent/test/controlplane"
)

// fieldManager is the name under which the manager applies the agent's manifests.
const fieldManager = "loft-manager"

// TestManifests applies every manifest to a real API server and asks it what the agent may do then.
func TestManifests(t *testing.T) {
	host, err := controlplane.Start(t.Context(), controlplane.Options{Name: "manifests", Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Stop(); err != nil {
			t.Error(err)
		}
	})
	a := newApplier(t, host.RESTConfig())

	objects, err := artifacts.AgentObjects()
	if err != nil {
		t.Fatal(err)
	}
	if !t.Run("the agent applies", func(t *testing.T) { a.applyAll(t, objects) }) {
		return
	}
	t.Run("applying again changes nothing", func(t *testing.T) { testApplyAgain(t, a, objects) })
	t.Run("the API server takes the pods", func(t *testing.T) { testPodIsAdmitted(t, a, objects) })
	t.Run("the examples apply", func(t *testing.T) {
		a.applyDefinitions(t, "sigs.k8s.io/gateway-api", "config/crd/standard")
		a.applyDefinitions(t, "github.com/cert-manager/cert-manager", "deploy/crds")
		a.applyAll(t, objectsIn(t, "../../artifacts/expose"))
		a.applyAll(t, objectsIn(t, "../../artifacts/agent-cert-manager"))
	})
	testRights(t, host)
}

// applier applies objects of any kind as the manager does.
type applier struct {
	hostClient dynamic.Interface
	mapper     *restmapper.DeferredDiscoveryRESTMapper
}

func newApplier(t *testing.T, config *rest.Config) *applier {
	t.Helper()
	hostClient, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	cached := memory.NewMemCacheClient(kubernetes.NewForConfigOrDie(config).Discovery())
	return &applier{hostClient: hostClient, mapper: restmapper.NewDeferredDiscoveryRESTMapper(cached)}
}

// resource returns the client for one object's kind and namespace.
func (a *applier) resource(t *testing.T, object *unstructured.Unstructured) dynamic.ResourceInterface {
	t.Helper()
	kind := object.GroupVersionKind()
	mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		t.Fatalf("%s %q: %v", kind, object.GetName(), err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return a.hostClient.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	return a.hostClient.Resource(mapping.Resource)
}

// apply returns what the API server made of the object. Unknown and double fields are errors.
func (a *applier) apply(t *testing.T, object *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	content, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	applied, err := a.resource(t, object).Patch(t.Context(), object.GetName(), types.ApplyPatchType, content,
		metav1.PatchOptions{FieldManager: fieldManager, FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Fatalf("apply %s %q: %v", object.GetKind(), object.GetName(), err)
	}
	return applied
}

func (a *applier) applyAll(t *testing.T, objects []*unstructured.Unstructured) {
	t.Helper()
	for _, object := range objects {
		a.apply(t, object)
	}
}

// applyDefinitions applies the custom resource definitions of a Go module and waits until they are
// served.
func (a *applier) applyDefinitions(t *testing.T, module, folder string) {
	t.Helper()
	var definitions []*unstructured.Unstructured
	for _, object := range objectsIn(t, filepath.Join(moduleDir(t, module), folder)) {
		if object.GetKind() == "CustomResourceDefinition" {
			definitions = append(definitions, object)
		}
	}
	if len(definitions) == 0 {
		t.Fatalf("module %s holds no definitions in %s", module, folder)
	}
	a.applyAll(t, definitions)
	for _, definition := range definitions {
		a.awaitEstablished(t, definition)
	}
	a.mapper.Reset()
}

func (a *applier) awaitEstablished(t *testing.T, definition *unstructured.Unstructured) {
	t.Helper()
	resource := a.resource(t, definition)
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		current, err := resource.Get(ctx, definition.GetName(), metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		conditions, _, err := unstructured.NestedSlice(current.Object, "status", "conditions")
		for _, entry := range conditions {
			condition, _ := entry.(map[string]any)
			if condition["type"] == "Established" && condition["status"] == "True" {
				return true, nil
			}
		}
		return false, err
	})
	if err != nil {
		t.Fatalf("definition %q is not served: %v", definition.GetName(), err)
	}
}

// moduleDir returns where the source of a module named in crds/go.mod lies.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	goCommand := func(args ...string) string {
		command := exec.CommandContext(t.Context(), "go", args...)
		command.Dir, command.Stderr = "crds", os.Stderr
		// A workspace or vendor folder of whoever runs the test must not decide the version.
		command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
		output, err := command.Output()
		if err != nil {
			t.Fatalf("go %s: %v", strings.Join(args, " "), err)
		}
		return strings.TrimSpace(string(output))
	}
	goCommand("mod", "download", module)
	return goCommand("list", "-m", "-f", "{{.Dir}}", module)
}

// objectsIn returns the objects of all manifests in a folder, but not of kustomizations.
func objectsIn(t *testing.T, folder string) []*unstructured.Unstructured {
	t.Helper()
	files := os.DirFS(folder)
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatalf("folder %q holds no manifests", folder)
	}
	var objects []*unstructured.Unstructured
	for _, name := range names {
		if name == "kustomization.yaml" {
			continue
		}
		inFile, err := artifacts.ReadObjects(files, name)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, inFile...)
	}
	return objects
}

func testApplyAgain(t *testing.T, a *applier, objects []*unstructured.Unstructured) {
	for _, object := range objects {
		before, err := a.resource(t, object).Get(t.Context(), object.GetName(), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		after := a.apply(t, object)
		if before.GetGeneration() != after.GetGeneration() {
			t.Errorf("%s %q: generation went from %d to %d", object.GetKind(), object.GetName(),
				before.GetGeneration(), after.GetGeneration())
		}
	}
}

// testPodIsAdmitted creates a pod as the Deployment would, without keeping it. Without that, a pod
// that the namespace's restricted profile refuses would only be found in a real cluster.
func testPodIsAdmitted(t *testing.T, a *applier, objects []*unstructured.Unstructured) {
	for _, object := range objects {
		if object.GetKind() != "Deployment" {
			continue
		}
		template, _, err := unstructured.NestedMap(object.Object, "spec", "template")
		if err != nil {
			t.Fatal(err)
		}
		pod := &unstructured.Unstructured{Object: template}
		pod.SetAPIVersion("v1")
		pod.SetKind("Pod")
		pod.SetGenerateName("loft-agent-")
		pod.SetNamespace(object.GetNamespace())
		admitted, err := a.resource(t, pod).Create(t.Context(), pod, metav1.CreateOptions{
			DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
		})
		if err != nil {
			t.Fatal(err)
		}
		typed := &corev1.Pod{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(admitted.Object, typed); err != nil {
			t.Fatal(err)
		}
		if typed.Spec.Priority == nil || *typed.Spec.Priority < 2_000_000_000 {
			t.Errorf("priority = %v, want that of system-cluster-critical", typed.Spec.Priority)
		}
	}
}
