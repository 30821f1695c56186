package cli

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"loft.sh/agent/artifacts"
)

// TestAdaptManager looks at what "start" makes of the manifests.
func TestAdaptManager(t *testing.T) {
	objects, err := artifacts.ManagerObjects()
	if err != nil {
		t.Fatal(err)
	}
	serving := map[string][]byte{"ca.crt": []byte("ca"), "tls.crt": []byte("chain"), "tls.key": []byte("key")}
	adapted, err := adaptManager(objects, serving, "https://loft.example.com", "registry/manager:v3")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for i, object := range adapted {
		kinds[object.GetKind()] = i
		switch object.GetKind() {
		case "APIService":
			if ca, _, _ := unstructured.NestedString(object.Object, "spec", "caBundle"); ca != "Y2E=" {
				t.Errorf("the aggregator trusts %q", ca)
			}
		case "Deployment":
			containers, _, _ := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
			container := containers[0].(map[string]any)
			args, _, _ := unstructured.NestedStringSlice(container, "args")
			if container["image"] != "registry/manager:v3" || !slices.Contains(args, "--issuer=https://loft.example.com") ||
				!slices.Contains(args, "--bootstrap-admin") || slices.Contains(args, "--issuer=https://loft.example.com/") {
				t.Errorf("image %v, args %q", container["image"], args)
			}
		}
	}
	if kinds["Secret"] == 0 || kinds["Secret"] < kinds["Namespace"] || kinds["Secret"] > kinds["Deployment"] {
		t.Errorf("the certificate's Secret is number %d, the namespace %d, the Deployment %d", kinds["Secret"], kinds["Namespace"], kinds["Deployment"])
	}
}
