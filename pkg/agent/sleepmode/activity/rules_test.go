package activity

import (
	"errors"
	"net/http"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

// getPods is what alice's kubectl sends.
func getPods() Request {
	return Request{
		Info:   &request.RequestInfo{IsResourceRequest: true, Verb: "list", Namespace: "team-a", Resource: "pods"},
		User:   &user.DefaultInfo{Name: "loft:user:alice", Groups: []string{"loft:user:alice", "loft:team:admins"}},
		Header: http.Header{"User-Agent": {"kubectl/v1.37.2 (linux/amd64)"}},
		Query:  "limit=500",
	}
}

var countsTests = []struct {
	name        string
	annotations map[string]string
	change      func(*Request)
	want        bool
}{
	{name: "kubectl get pods", want: true},
	{name: "watch", change: func(q *Request) { q.Info.Verb = "watch" }},
	{name: "list from the cache, as k9s does", change: func(q *Request) { q.Query = "limit=500&resourceVersion=0" }},
	{name: "list again, as a reflector does", change: func(q *Request) { q.Query = "resourceVersion=123&resourceVersionMatch=NotOlderThan" }},
	{name: "list at no version", change: func(q *Request) { q.Query = "resourceVersion=&limit=500" }, want: true},
	{name: "list by something similar", change: func(q *Request) { q.Query = "fieldSelector=resourceVersion%3D0&aresourceVersion=0" }, want: true},
	{name: "get at a version", change: func(q *Request) { q.Info.Verb, q.Query = "get", "resourceVersion=0" }, want: true},
	{name: "service account", change: func(q *Request) { q.User = &user.DefaultInfo{Name: "system:serviceaccount:team-a:ci"} }},
	{name: "controller", change: func(q *Request) { q.User = &user.DefaultInfo{Name: "system:kube-controller-manager"} }},
	{name: "nobody", change: func(q *Request) { q.User = nil }},
	{name: "administrator of the cluster", change: func(q *Request) { q.User = &user.DefaultInfo{Name: "kubernetes-admin"} }, want: true},
	{name: "no resource", change: func(q *Request) { q.Info = &request.RequestInfo{Verb: "get", Path: "/healthz"} }},
	{name: "no namespace", change: func(q *Request) { q.Info.Namespace = "" }},
	{name: "the namespace itself", change: func(q *Request) { q.Info.Resource, q.Info.Name = "namespaces", "team-a" }},
	{name: "its sleep mode", change: func(q *Request) { q.Info.APIGroup, q.Info.Resource = "cluster.loft.sh", "sleepmodeconfigs" }},
	{name: "a virtual cluster object in it", change: func(q *Request) { q.Info.APIGroup, q.Info.Resource = "cluster.loft.sh", "virtualclusters" }, want: true},
	{name: "header", change: func(q *Request) { q.Header.Set("x-sleep-mode-ignore", "true") }},
	{name: "header without meaning it", change: func(q *Request) { q.Header.Set("X-Sleep-Mode-Ignore", "false") }, want: true},

	{name: "ignore all", annotations: map[string]string{"ignore-all": "true"}},
	{name: "ignore a group", annotations: map[string]string{"ignore-groups": "x, loft:team:admins"}},
	{name: "ignore another group", annotations: map[string]string{"ignore-groups": "loft:team:admin"}, want: true},
	{name: "ignore a verb", annotations: map[string]string{"ignore-verbs": "get,list"}},
	{name: "ignore another verb", annotations: map[string]string{"ignore-verbs": "get"}, want: true},
	{name: "ignore a resource", annotations: map[string]string{"ignore-resources": "pods,deployments.apps"}},
	{name: "ignore a resource of another group", annotations: map[string]string{"ignore-resources": "pods.metrics.k8s.io"}, want: true},
	{
		name: "ignore a resource of a group", annotations: map[string]string{"ignore-resources": "pods.metrics.k8s.io"},
		change: func(q *Request) { q.Info.APIGroup = "metrics.k8s.io" },
	},
	{name: "ignore verbs of a resource", annotations: map[string]string{"ignore-resource-verbs": "x.y=get,pods=create list"}},
	{name: "ignore other verbs of a resource", annotations: map[string]string{"ignore-resource-verbs": "pods=create update,other.g=list"}, want: true},
	{
		name: "ignore names of a resource", annotations: map[string]string{"ignore-resource-names": "pods=a web-0"},
		change: func(q *Request) { q.Info.Verb, q.Info.Name = "get", "web-0" },
	},
	{
		name: "ignore other names of a resource", annotations: map[string]string{"ignore-resource-names": "pods=a,services=web-0"},
		change: func(q *Request) { q.Info.Verb, q.Info.Name = "get", "web-0" }, want: true,
	},
	{name: "ignore a user agent", annotations: map[string]string{"ignore-user-agents": "kubectl/v1.37.2 (linux/amd64)"}},
	{name: "ignore a prefix of user agents", annotations: map[string]string{"ignore-user-agents": "k9s*, kubectl/*"}},
	{name: "a prefix needs its star", annotations: map[string]string{"ignore-user-agents": "kubectl/"}, want: true},
	{
		name: "ignore virtual clusters", annotations: map[string]string{"ignore-vclusters": "true"},
		change: func(q *Request) { q.VirtualCluster = "dev" },
	},
	{name: "ignoring virtual clusters leaves the host's", annotations: map[string]string{"ignore-vclusters": "true"}, want: true},
}

func withPrefix(from map[string]string) map[string]string {
	prefixed := map[string]string{}
	for key, value := range from {
		prefixed[annotations.Prefix+key] = value
	}
	return prefixed
}

func TestCounts(t *testing.T) {
	for _, tt := range countsTests {
		t.Run(tt.name, func(t *testing.T) {
			rules, err := Compile(withPrefix(tt.annotations))
			if err != nil {
				t.Fatal(err)
			}
			q := getPods()
			if tt.change != nil {
				tt.change(&q)
			}
			if got := rules.Counts(q); got != tt.want {
				t.Errorf("counts: %t, want %t", got, tt.want)
			}
			if allocations := testing.AllocsPerRun(100, func() { rules.Counts(q) }); allocations != 0 {
				t.Errorf("%v allocations", allocations)
			}
		})
	}
}

func TestCompileFails(t *testing.T) {
	for key, value := range map[string]string{
		"ignore-all": "yes", "ignore-vclusters": "1", "ignore-active-connections": "on", "ignore-active-conntections": "on",
		"ignore-resource-verbs": "pods", "ignore-resource-names": "pods=",
	} {
		_, err := Compile(withPrefix(map[string]string{key: value}))
		var annotation *annotations.Error
		if !errors.As(err, &annotation) || annotation.Key != annotations.Prefix+key {
			t.Errorf("%s=%s: got error %v", key, value, err)
		}
	}
}

func TestActiveConnectionsInBothSpellings(t *testing.T) {
	for _, key := range []string{"ignore-active-connections", "ignore-active-conntections"} {
		rules, err := Compile(withPrefix(map[string]string{key: "true"}))
		if err != nil || !rules.connections {
			t.Errorf("%s: %t, error %v", key, rules.connections, err)
		}
	}
}

func TestNeedsWorkload(t *testing.T) {
	tests := []struct {
		verb, resource, subresource string
		opens, needs                bool
	}{
		{"list", "pods", "", false, false}, {"delete", "pods", "", false, false}, {"get", "pods", "status", false, false},
		{"get", "pods", "", false, true}, {"get", "deployments", "", false, false},
		{"get", "pods", "exec", true, true}, {"get", "pods", "attach", true, true}, {"get", "pods", "portforward", true, true},
		{"get", "pods", "log", false, true}, {"get", "pods", "proxy", false, true}, {"get", "services", "proxy", false, true},
		{"get", "deployments", "scale", false, false},
	}
	for _, tt := range tests {
		i := &request.RequestInfo{IsResourceRequest: true, Verb: tt.verb, Resource: tt.resource, Subresource: tt.subresource}
		if opens, needs := Opens(i), NeedsWorkload(i); opens != tt.opens || needs != tt.needs {
			t.Errorf("%s %s/%s: opens %t, needs %t", tt.verb, tt.resource, tt.subresource, opens, needs)
		}
	}
}
