package door

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"loft.sh/agent/pkg/proxy"
)

// newRequest parses target as a server does.
func newRequest(t *testing.T, method, target string) *http.Request {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, "http://endpoint/", nil)
	r.URL = u
	return r
}

func TestParseTarget(t *testing.T) {
	type reading struct {
		Inner, Verb, Namespace, Resource, Subresource, Name string
		Lane                                                proxy.Lane
	}
	for _, tc := range []struct {
		name, path string
		want       reading
	}{
		{"the prefix alone", "/kubernetes/cluster", reading{Inner: "/", Verb: "get"}},
		{"list", "/kubernetes/cluster/api/v1/namespaces/team-a/pods?limit=500",
			reading{Inner: "/api/v1/namespaces/team-a/pods?limit=500", Verb: "list", Namespace: "team-a", Resource: "pods"}},
		{"watch", "/kubernetes/cluster/api/v1/pods?watch=true",
			reading{Inner: "/api/v1/pods?watch=true", Verb: "watch", Resource: "pods", Lane: proxy.Stream}},
		{"log", "/kubernetes/cluster/api/v1/namespaces/a/pods/p/log?follow=true",
			reading{Inner: "/api/v1/namespaces/a/pods/p/log?follow=true", Verb: "get", Namespace: "a", Resource: "pods", Subresource: "log", Name: "p", Lane: proxy.Stream}},
		{"trailing slash", "/kubernetes/cluster/apis/", reading{Inner: "/apis/", Verb: "get"}},
		{"query is kept byte for byte", "/kubernetes/cluster/api?a=b;c&&d=%zz", reading{Inner: "/api?a=b;c&&d=%zz", Verb: "get"}},
		{"escapes are kept byte for byte", "/kubernetes/cluster/api/v1/namespaces/a/configmaps/%61bc",
			reading{Inner: "/api/v1/namespaces/a/configmaps/%61bc", Verb: "get", Namespace: "a", Resource: "configmaps", Name: "abc"}},
		{"a proxied path is the backend's business", "/kubernetes/cluster/api/v1/namespaces/a/services/s/proxy/x%2Fy//z",
			reading{Inner: "/api/v1/namespaces/a/services/s/proxy/x%2Fy//z", Verb: "get", Namespace: "a", Resource: "services", Subresource: "proxy", Name: "s", Lane: proxy.Stream}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Parse(newRequest(t, http.MethodGet, tc.path), At(testPrefix, nil), "")
			if err != nil {
				t.Fatal(err)
			}
			info := got.Info
			if diff := cmp.Diff(tc.want, reading{got.URL.RequestURI(), info.Verb, info.Namespace, info.Resource, info.Subresource, info.Name, got.Lane}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestParseTargetRefusesPathsThatReadTwoWays(t *testing.T) {
	for _, tc := range []struct {
		name, path string
		wantCode   int
	}{
		{"another door", "/kubernetes/other/api", http.StatusNotFound},
		{"prefix of a longer word", "/kubernetes/clusterfoo/api", http.StatusNotFound},
		{"prefix spelled with escapes", "/kubernetes/cl%75ster/a%2fb", http.StatusNotFound},
		{"dot dot", "/kubernetes/cluster/api/v1/namespaces/a/../b/secrets", http.StatusBadRequest},
		{"out of the prefix", "/kubernetes/cluster/../../healthz", http.StatusBadRequest},
		{"one dot", "/kubernetes/cluster/api/./v1", http.StatusBadRequest},
		{"encoded dots", "/kubernetes/cluster/api/v1/%2e%2e/secrets", http.StatusBadRequest},
		{"half encoded dots", "/kubernetes/cluster/api/v1/.%2E/secrets", http.StatusBadRequest},
		{"dots behind an encoded slash", "/kubernetes/cluster/api/v1/x%2f..%2fsecrets", http.StatusBadRequest},
		{"dots in a proxied path", "/kubernetes/cluster/api/v1/nodes/n/proxy/../../secrets", http.StatusBadRequest},
		{"encoded slash", "/kubernetes/cluster/api/v1/namespaces/a%2fsecrets", http.StatusBadRequest},
		{"encoded slash that makes a proxy", "/kubernetes/cluster/api/v1/namespaces/a/services/s%2Fproxy/x", http.StatusBadRequest},
		{"empty segment", "/kubernetes/cluster/api//v1/pods", http.StatusBadRequest},
		{"leading empty segment", "/kubernetes/cluster//api/v1/pods", http.StatusBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse(newRequest(t, http.MethodGet, tc.path), At(testPrefix, nil), "")
			if statusCode(err) != tc.wantCode {
				t.Errorf("error %v, want code %d", err, tc.wantCode)
			}
		})
	}
}

func TestUpgradeToOtherProtocolsIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name                string
		connection, upgrade []string
		want                bool
		wantErr             bool
	}{
		{"none", nil, nil, false, false},
		{"websocket", []string{"keep-alive, Upgrade"}, []string{"WebSocket"}, true, false},
		{"SPDY", []string{"Upgrade"}, []string{"SPDY/3.1"}, true, false},
		{"not asked for", []string{"keep-alive"}, []string{"websocket"}, false, false},
		{"h2c would tunnel past the filters", []string{"Upgrade, HTTP2-Settings"}, []string{"h2c"}, false, true},
		{"two protocols", []string{"Upgrade"}, []string{"websocket, h2c"}, false, true},
		{"two lines", []string{"Upgrade"}, []string{"websocket", "h2c"}, false, true},
		{"no protocol", []string{"Upgrade"}, nil, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := upgradeAsked(http.Header{"Connection": tc.connection, "Upgrade": tc.upgrade})
			if got != tc.want || (err != nil) != tc.wantErr {
				t.Errorf("got %t, %v; want %t, error %t", got, err, tc.want, tc.wantErr)
			}
		})
	}
}

func statusCode(err error) int {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return int(status.Status().Code)
	}
	return 0
}

func TestNotFoundNamesTheDoor(t *testing.T) {
	_, err := Parse(newRequest(t, http.MethodGet, "/kubernetes/x"), At(testPrefix, nil), "it is at "+testPrefix)
	if err == nil || !strings.Contains(err.Error(), "it is at "+testPrefix) {
		t.Errorf("message does not say where the API is: %v", err)
	}
}
