package registry

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/compatibility"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	generatedopenapi "loft.sh/agent/generated/openapi"
	"loft.sh/agent/pkg/agent/registry/sleepmodeconfigs"
	"loft.sh/agent/pkg/agent/registry/spaces"
)

type fixedStatus clusterv1.KubernetesStatus

func (s fixedStatus) Status() clusterv1.KubernetesStatus { return clusterv1.KubernetesStatus(s) }

// newHandler installs the group in a generic API server whose chain has only what the
// router needs.
func newHandler(t *testing.T) http.Handler {
	t.Helper()
	scheme, codecs := Scheme()
	config := genericapiserver.NewConfig(codecs)
	config.ExternalAddress = "127.0.0.1:443"
	config.LoopbackClientConfig = &rest.Config{}
	config.EffectiveVersion = compatibility.NewEffectiveVersionFromString("1.37", "", "")
	namer := openapi.NewDefinitionNamer(scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(generatedopenapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(generatedopenapi.GetOpenAPIDefinitions, namer)
	config.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return filters.WithRequestInfo(handler, c.RequestInfoResolver)
	}
	server, err := config.Complete(nil).New("test", genericapiserver.NewEmptyDelegate())
	if err != nil {
		t.Fatalf("build server: %v", err)
	}
	t.Cleanup(server.Destroy)
	info := NewAPIGroupInfo(fixedStatus{AgentVersion: "v0.1.0"}, spaces.NewREST(spaces.Config{Now: time.Now}),
		sleepmodeconfigs.NewREST(nil, nil, time.Now))
	if err := server.InstallAPIGroup(&info); err != nil {
		t.Fatalf("install group: %v", err)
	}
	server.PrepareRun()
	return server.Handler
}

func TestRequests(t *testing.T) {
	handler := newHandler(t)
	const group = "/apis/cluster.loft.sh/v1"
	tests := []struct {
		name     string
		method   string
		path     string
		accept   string
		wantCode int
		wantBody string // a part of it
	}{
		{name: "get", path: "/kubernetes/cluster", wantCode: 200, wantBody: `"kind":"Kubernetes","apiVersion":"cluster.loft.sh/v1"`},
		{name: "get another", path: "/kubernetes/other", wantCode: 404, wantBody: `"reason":"NotFound"`},
		{name: "list", path: "/kubernetes", wantCode: 200, wantBody: `"agentVersion":"v0.1.0"`},
		{name: "list by another name", path: "/kubernetes?fieldSelector=metadata.name%3Dother", wantCode: 200, wantBody: `"items":[]`},
		{name: "list by an unknown field", path: "/kubernetes?fieldSelector=spec.a%3Db", wantCode: 400, wantBody: `is not a known field selector`},
		{name: "table", path: "/kubernetes", accept: "application/json;as=Table;g=meta.k8s.io;v=v1", wantCode: 200, wantBody: `"cells":["cluster","Unknown","v0.1.0"`},
		{name: "delete", method: http.MethodDelete, path: "/kubernetes/cluster", wantCode: 405, wantBody: `"reason":"MethodNotAllowed"`},
		{name: "proxy", path: "/kubernetes/cluster/proxy/api/v1", wantCode: 500, wantBody: `reached the API router instead of the proxy`},
		{name: "proxy without a path", method: http.MethodPatch, path: "/kubernetes/cluster/proxy", wantCode: 500, wantBody: `"reason":"InternalError"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			request := httptest.NewRequestWithContext(t.Context(), tt.method, group+tt.path, nil)
			if tt.accept != "" {
				request.Header.Set("Accept", tt.accept)
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			if recorder.Code != tt.wantCode {
				t.Errorf("code: got %d, want %d", recorder.Code, tt.wantCode)
			}
			if !strings.Contains(recorder.Body.String(), tt.wantBody) {
				t.Errorf("body lacks %s:\n%s", tt.wantBody, recorder.Body)
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	recorder := httptest.NewRecorder()
	newHandler(t).ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/apis/cluster.loft.sh/v1", nil))
	var got metav1.APIResourceList
	if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil {
		t.Fatalf("decode %s: %v", recorder.Body, err)
	}
	slices.SortFunc(got.APIResources, func(a, b metav1.APIResource) int { return strings.Compare(a.Name, b.Name) })
	want := []metav1.APIResource{
		{Name: "kubernetes", SingularName: "kubernetes", Kind: "Kubernetes", Verbs: metav1.Verbs{"get", "list"}},
		{Name: "kubernetes/proxy", Kind: "ProxyOptions", Verbs: metav1.Verbs{"create", "delete", "get", "patch", "update"}},
		{Name: "sleepmodeconfigs", SingularName: "sleepmodeconfig", Namespaced: true, Kind: "SleepModeConfig", Verbs: metav1.Verbs{"create", "get", "list", "patch", "update"}},
		{Name: "spaces", SingularName: "space", Kind: "Space", Verbs: metav1.Verbs{"create", "delete", "get", "list", "patch", "update", "watch"}},
	}
	if diff := cmp.Diff(want, got.APIResources); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
}

// TestOpenAPI holds that `kubectl explain kubernetes.status` has something to say.
func TestOpenAPI(t *testing.T) {
	recorder := httptest.NewRecorder()
	newHandler(t).ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/openapi/v3/apis/cluster.loft.sh/v1", nil))
	for _, want := range []string{"sh.loft.cluster.v1.KubernetesStatus", "agentVersion is the version of the agent that answered"} {
		if !strings.Contains(recorder.Body.String(), want) {
			t.Errorf("OpenAPI document lacks %q: %d, %.300s", want, recorder.Code, recorder.Body)
		}
	}
}
