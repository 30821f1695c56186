package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

const (
	jsonType     = "application/json"
	protobufType = "application/vnd.kubernetes.protobuf"
)

// ownAnswerHeaders differ by request, or are the door's by design: those of CORS.
var ownAnswerHeaders = []string{
	"Date", "Audit-Id",
	"Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Origin",
}

// answer is all that a client sees.
type answer struct {
	Protocol, Code int
	Header         http.Header
	Body           string // cmp walks bytes one by one
}

// question is a request of which the API server gives the same answer twice.
type question struct {
	name, method, path, body, contentType string
	accept                                []string
	encoding                              string
	// moving answers name the newest resource version, or an age in seconds: soon they are equal.
	moving bool
	// unique answers hold a UID of their own; only status and headers but Content-Length count.
	unique                 bool
	wantCode               int
	wantWarning, wantInner string
}

func TestAnswersEqualTheAPIServers(t *testing.T) {
	for _, port := range kubectlPorts {
		t.Run(port.name, func(t *testing.T) {
			t.Parallel()
			config := port.config(t)
			k := newKubectlUser(t, config)
			for _, name := range []string{"x", "y"} {
				k.Output(t, "create", "configmap", name, "--from-literal=key=value")
			}
			direct := shared.Cluster().RESTConfig()
			user := person(kubectlPerson)
			direct.Impersonate = rest.ImpersonationConfig{UserName: user.Subject, UID: user.UID, Groups: user.Groups}
			for _, q := range questions(k.Namespace, k.ResourceVersion(t, "x")) {
				for _, accept := range q.accept {
					t.Run(q.name+"/"+accept, func(t *testing.T) { compare(t, direct, config, q, accept) })
				}
			}
		})
	}
}

func questions(namespace, resourceVersion string) []question {
	both := []string{jsonType, protobufType}
	core := "/api/v1/namespaces/" + namespace
	configMaps := core + "/configmaps"
	named := func(name, more string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q%s}}`, name, more)
	}
	const table = "application/json;as=Table;v=v1;g=meta.k8s.io"
	return []question{
		{name: "object", path: configMaps + "/x", accept: append(both, "application/yaml", "*/*", ""), wantCode: 200},
		{name: "table", path: configMaps + "/x", accept: []string{table}, moving: true, wantCode: 200},
		{name: "list", path: configMaps, accept: append(both, table), moving: true, wantCode: 200},
		{name: "partial list", path: configMaps + "?limit=1&labelSelector=a%3Db%2Cc", accept: both, moving: true, wantCode: 200},
		{name: "HEAD", method: http.MethodHead, path: configMaps + "/x", accept: both, wantCode: 405},
		{name: "bad selector", path: configMaps + "?labelSelector=%21%21", accept: both, wantCode: 400},
		{name: "no such object", path: configMaps + "/none", accept: both, wantCode: 404},
		{name: "no such resource", path: "/apis/none.example.com/v1/things", accept: both, wantCode: 404},
		{name: "wrong method", method: http.MethodPost, path: configMaps + "/x", body: "{}", accept: both, wantCode: 405},
		{name: "unknown type wanted", path: configMaps + "/x", accept: []string{"image/png", "application/cbor"}, wantCode: 406},
		{name: "unknown type sent", method: http.MethodPost, path: configMaps, contentType: "image/png", body: "x", accept: both, wantCode: 415},
		{name: "already exists", method: http.MethodPost, path: configMaps, body: named("x", ""), accept: both, wantCode: 409},
		{name: "stale resource version", method: http.MethodPut, path: configMaps + "/y", body: named("y", `,"resourceVersion":"`+resourceVersion+`"`), accept: both, wantCode: 409},
		{name: "field owned by another", method: http.MethodPatch, path: configMaps + "/x?fieldManager=e2e", contentType: "application/apply-patch+yaml",
			body: strings.Replace(named("x", ""), "}}", `},"data":{"key":"mine"}}`, 1), accept: both, wantCode: 409, wantInner: "conflict"},
		{name: "invalid", method: http.MethodPost, path: configMaps, body: named("UPPER", ""), accept: both, wantCode: 422, wantInner: "metadata.name"},
		{name: "unknown field", method: http.MethodPost, path: configMaps + "?dryRun=All&fieldValidation=Warn", body: named("z", `,"wrong":1`),
			accept: both, unique: true, wantCode: 201, wantWarning: `299 - "unknown field \"metadata.wrong\""`},
		{name: "unknown field, strictly", method: http.MethodPost, path: configMaps + "?dryRun=All&fieldValidation=Strict", body: named("z", `,"wrong":1`),
			accept: both, wantCode: 400, wantInner: "unknown field"},
		{name: "deprecated", path: core + "/endpoints", accept: both, moving: true, wantCode: 200, wantWarning: `299 - "v1 Endpoints is deprecated`},
		{name: "bad continuation", path: configMaps + "?continue=bad", accept: both, wantCode: 400},
		{name: "discovery", path: "/apis", accept: append(both, "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList"), wantCode: 200},
		{name: "OpenAPI", path: "/openapi/v2", accept: []string{jsonType}, wantCode: 200},
		{name: "OpenAPI compressed", path: "/openapi/v2", accept: []string{jsonType, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"}, encoding: "gzip", wantCode: 200},
		{name: "no such path", path: "/none/", accept: []string{jsonType}, wantCode: 404},
		{name: "version", path: "/version", accept: []string{jsonType}, wantCode: 200},
	}
}

func compare(t *testing.T, direct, endpoint *rest.Config, q question, accept string) {
	got := ask(t, endpoint, q, accept)
	// Content-Length is given up to a size that depends on the version of HTTP.
	direct = rest.CopyConfig(direct)
	direct.NextProtos = []string{map[int]string{1: "http/1.1", 2: "h2"}[got.Protocol]}
	want := ask(t, direct, q, accept)
	for tries := 0; q.moving && tries < 20 && !cmp.Equal(want, got); tries++ {
		got, want = ask(t, endpoint, q, accept), ask(t, direct, q, accept)
	}
	if want.Code != q.wantCode {
		t.Errorf("the API server itself answered %d, want %d: %s", want.Code, q.wantCode, want.Body)
	}
	if warning := got.Header.Get("Warning"); !strings.HasPrefix(warning, q.wantWarning) {
		t.Errorf("got warning %q, want %q", warning, q.wantWarning)
	}
	if !strings.Contains(got.Body, q.wantInner) {
		t.Errorf("got %q, want %q in it", got.Body, q.wantInner)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers differ (-direct +endpoint):\n%s", diff)
	}
}

// ask sends what the question says and nothing more.
func ask(t *testing.T, config *rest.Config, q question, accept string) answer {
	t.Helper()
	config = rest.CopyConfig(config)
	config.DisableCompression = true // the question says whether compression is wanted
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	request, err := http.NewRequestWithContext(t.Context(), q.method, config.Host+q.path, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{"Accept": accept, "Accept-Encoding": q.encoding, "Content-Type": q.contentType} {
		if value != "" {
			request.Header.Set(key, value)
		}
	}
	if q.body != "" && q.contentType == "" {
		request.Header.Set("Content-Type", jsonType)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(response.Header, func(name string, _ []string) bool { return slices.Contains(ownAnswerHeaders, name) })
	if q.unique {
		body = nil
		response.Header.Del("Content-Length")
	}
	return answer{Protocol: response.ProtoMajor, Code: response.StatusCode, Header: response.Header, Body: string(body)}
}
