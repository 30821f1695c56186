package installer

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	clocktesting "k8s.io/utils/clock/testing"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/test/fakehost"
)

const (
	deploymentPath = "/apis/apps/v1/namespaces/loft/deployments/loft-agent"
	apiServicePath = "/apis/apiregistration.k8s.io/v1/apiservices/v1.cluster.loft.sh"
	secretPath     = "/api/v1/namespaces/loft/secrets/loft-agent-serving"
	servicePath    = "/api/v1/namespaces/loft/services/loft-agent"
	bindingPath    = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/loft-agent-endpoint-user"
)

type fixture struct {
	installer *Installer
	clock     *clocktesting.FakePassiveClock
	host      *fakehost.Host
	client    dynamic.Interface
	cluster   *storagev1.Cluster
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	server := fakehost.Start()
	t.Cleanup(server.Close)
	f := &fixture{host: server.Add("eu", "uid"), clock: clocktesting.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))}
	config, err := clientcmd.RESTConfigFromKubeConfig(server.Kubeconfig("eu"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	if f.client, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	f.cluster = &storagev1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "eu", UID: "cluster-eu"}}
	f.restart(t)
	return f
}

// restart makes an installer that remembers nothing, as another manager.
func (f *fixture) restart(t *testing.T) {
	t.Helper()
	var err error
	if f.installer, err = New("registry.example.com/loft-agent:v1", f.clock); err != nil {
		t.Fatal(err)
	}
}

// install expects whether something changes.
func (f *fixture) install(t *testing.T, want bool) {
	t.Helper()
	changed, err := f.installer.Install(t.Context(), f.client, f.cluster)
	if err != nil || changed != want {
		t.Fatalf("changed %t, error %v; want changed %t", changed, err, want)
	}
}

func (f *fixture) deployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	deployment := &appsv1.Deployment{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(f.host.Object(deploymentPath), deployment); err != nil {
		t.Fatal(err)
	}
	return deployment
}

func (f *fixture) field(path string, fields ...string) string {
	value, _, _ := unstructured.NestedString(f.host.Object(path), fields...)
	return value
}

func TestInstall(t *testing.T) {
	f := newFixture(t)
	f.install(t, true)
	writes := f.host.Writes()
	if i := len(writes) - 1; writes[i] != "PATCH "+apiServicePath || writes[0] != "PATCH /api/v1/namespaces/loft" {
		t.Errorf("writes %q: the namespace must be first and the APIService last", writes)
	}
	if secret, deployment := slices.Index(writes, "PATCH "+secretPath), slices.Index(writes, "PATCH "+deploymentPath); secret < 0 || secret > deployment {
		t.Errorf("writes %q: the certificate must be there before the pods", writes)
	}
	if image := f.deployment(t).Spec.Template.Spec.Containers[0].Image; image != "registry.example.com/loft-agent:v1" {
		t.Errorf("image %q", image)
	}
	if ca := f.field(apiServicePath, "spec", "caBundle"); ca == "" || ca != f.field(secretPath, "data", "ca.crt") {
		t.Error("the APIService does not trust the authority of the serving certificate")
	}
	if f.field(apiServicePath, "metadata", "annotations", "cert-manager.io/inject-ca-from") != "" {
		t.Error("cert-manager is asked for the caBundle too")
	}
	if f.host.Object(bindingPath) != nil {
		t.Error("everybody was let in")
	}
	f.install(t, false)
	f.restart(t)
	f.install(t, false)
	if writes := f.host.Writes(); len(writes) > 0 {
		t.Errorf("writes %q, though nothing changed", writes)
	}
}

// TestPrivateKeysAreInTheSecretAlone searches everything that was applied.
func TestPrivateKeysAreInTheSecretAlone(t *testing.T) {
	f := newFixture(t)
	f.install(t, true)
	secret := f.host.Object(secretPath)
	for _, path := range f.host.Paths("/") {
		data, _ := json.Marshal(f.host.Object(path))
		for _, key := range []string{"tls.key", "ca.key"} {
			value, _, _ := unstructured.NestedString(secret, "data", key)
			if value == "" || (path != secretPath && strings.Contains(string(data), value)) {
				t.Errorf("%s: %s is missing in the Secret, or in %s", f.cluster.Name, key, path)
			}
		}
	}
}

func TestDriftIsRepaired(t *testing.T) {
	f := newFixture(t)
	f.install(t, true)
	changed := f.host.Object(servicePath)
	_ = unstructured.SetNestedField(changed, "LoadBalancer", "spec", "type")
	f.host.Set(servicePath, changed)
	f.install(t, true)
	if kind := f.field(servicePath, "spec", "type"); kind != "ClusterIP" {
		t.Errorf("type %q", kind)
	}
}

func TestUpgrade(t *testing.T) {
	f := newFixture(t)
	f.install(t, true)
	f.host.Writes()
	f.cluster.Spec.Agent.Image = "registry.example.com/loft-agent:v2"
	f.cluster.Spec.Agent.Replicas = new(int32(3))
	f.install(t, true)
	if diff := cmp.Diff([]string{"PATCH " + deploymentPath}, f.host.Writes()); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	if d := f.deployment(t); d.Spec.Template.Spec.Containers[0].Image != "registry.example.com/loft-agent:v2" || *d.Spec.Replicas != 3 {
		t.Errorf("image and replicas: %+v", d.Spec)
	}
}

func TestValues(t *testing.T) {
	for _, tt := range []struct {
		name, values string
		want         string // in the Deployment; empty: an error
	}{
		{"node selector", `{"template":{"spec":{"nodeSelector":{"pool":"infra"}}}}`, `"nodeSelector":{"pool":"infra"}`},
		{"merged by name", `{"template":{"spec":{"containers":[{"name":"loft-agent","env":[{"name":"A","value":"b"}]}]}}}`, `"name":"A"`},
		{"argument kept", `{"template":{"spec":{"containers":[{"name":"loft-agent","env":[{"name":"A","value":"b"}]}]}}}`, `--secure-port=8443`},
		{"unknown field", `{"template":{"spec":{"nodeSelectors":{}}}}`, ""},
		{"wrong type", `{"replicas":"three"}`, ""},
		{"a list", `[]`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			f.cluster.Spec.Agent.Values = &runtime.RawExtension{Raw: []byte(tt.values)}
			_, err := f.installer.Install(t.Context(), f.client, f.cluster)
			if tt.want == "" {
				var installError *Error
				if !errors.As(err, &installError) || installError.Reason != ReasonValuesInvalid || len(f.host.Writes()) > 0 {
					t.Fatalf("error %v, want %s and nothing written", err, ReasonValuesInvalid)
				}
				return
			}
			data, _ := json.Marshal(f.host.Object(deploymentPath))
			if err != nil || !strings.Contains(string(data), tt.want) {
				t.Errorf("error %v, Deployment %s", err, data)
			}
		})
	}
}

func TestUnmanagedObjectsAreLeftAlone(t *testing.T) {
	f := newFixture(t)
	f.host.Set("/api/v1/namespaces/loft", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "loft"}})
	annotated := map[string]any{"annotations": map[string]any{storagev1.AnnotationUnmanaged: "true"}}
	for _, path := range []string{servicePath, apiServicePath, secretPath} {
		f.host.Set(path, map[string]any{"apiVersion": "v1", "kind": "X", "metadata": annotated})
	}
	f.install(t, true)
	if err := f.installer.Remove(t.Context(), f.client); err != nil {
		t.Fatal(err)
	}
	for _, write := range f.host.Writes() {
		if strings.HasSuffix(write, servicePath) || strings.HasSuffix(write, apiServicePath) || strings.HasSuffix(write, secretPath) {
			t.Errorf("%s of an object that is unmanaged", write)
		}
	}
}

func TestCertificateIsRenewed(t *testing.T) {
	f := newFixture(t)
	f.install(t, true)
	before, ca := f.field(secretPath, "data", "tls.crt"), f.field(secretPath, "data", "ca.crt")
	f.clock.SetTime(f.clock.Now().AddDate(0, 0, 61))
	f.install(t, true)
	if f.field(secretPath, "data", "tls.crt") == before || f.field(secretPath, "data", "ca.crt") != ca {
		t.Error("not a new certificate of the same authority")
	}
	f.host.Writes()
	f.clock.SetTime(f.clock.Now().AddDate(9, 1, 0))
	f.install(t, true)
	if f.field(secretPath, "data", "ca.crt") == ca || f.field(apiServicePath, "spec", "caBundle") != f.field(secretPath, "data", "ca.crt") {
		t.Error("the authority was not renewed, or the APIService does not trust it")
	}
	if writes := f.host.Writes(); slices.Index(writes, "PATCH "+apiServicePath) > slices.Index(writes, "PATCH "+secretPath) {
		t.Errorf("writes %q: the new authority must be trusted before it is used", writes)
	}
}

func TestFailureStopsBeforeTheAPIService(t *testing.T) {
	f := newFixture(t)
	f.host.Answer(http.MethodPatch, deploymentPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":422,"reason":"Invalid","message":"no such luck"}`))
	})
	_, err := f.installer.Install(t.Context(), f.client, f.cluster)
	var installError *Error
	if !errors.As(err, &installError) || installError.Reason != ReasonApplyFailed || !strings.Contains(err.Error(), "Deployment loft/loft-agent: no such luck") {
		t.Errorf("error %v", err)
	}
	if f.host.Object(apiServicePath) != nil {
		t.Error("an APIService without a server behind it")
	}
	f.host.Answer(http.MethodPatch, deploymentPath, nil)
	f.install(t, true)
}

func TestRemove(t *testing.T) {
	f := newFixture(t)
	f.install(t, true)
	f.host.Writes()
	for range 2 {
		if err := f.installer.Remove(t.Context(), f.client); err != nil {
			t.Fatal(err)
		}
	}
	if writes := f.host.Writes(); writes[0] != "DELETE "+apiServicePath {
		t.Errorf("writes %q: the APIService must go first", writes)
	}
	left := f.host.Paths("/")
	slices.Sort(left)
	if diff := cmp.Diff([]string{"/api/v1/namespaces/kube-system", "/api/v1/namespaces/loft"}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestRemoveWaitsForTheAPIService(t *testing.T) {
	f := newFixture(t)
	f.install(t, true)
	f.host.Answer(http.MethodDelete, apiServicePath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Success"}`))
	})
	if err := f.installer.Remove(t.Context(), f.client); err == nil || f.host.Object(deploymentPath) == nil {
		t.Errorf("error %v; the server behind an APIService that is still there was taken away", err)
	}
}
