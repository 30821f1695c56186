package activity

import (
	"net/http"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

// IgnoreHeader "true" makes a request not count.
const IgnoreHeader = "X-Sleep-Mode-Ignore"

// Request is what decides whether a request counts.
type Request struct {
	Info *request.RequestInfo
	User user.Info
	// Header is the client's.
	Header http.Header
	// Query is the inner request's, as it was sent.
	Query string
	// VirtualCluster is the virtual cluster that the request goes to; empty: the host cluster.
	VirtualCluster string
}

// Counts says whether q keeps its namespace awake.
func (r *Rules) Counts(q Request) bool {
	return inNamespace(q.Info) && !readsAsInformer(q) && isPerson(q.User) && !asksToIgnore(q.Header) && !r.ignores(q)
}

// inNamespace says whether a request is for something in a namespace.
func inNamespace(i *request.RequestInfo) bool {
	switch {
	case !i.IsResourceRequest || i.Namespace == "":
		return false
	case i.APIGroup == "":
		return i.Resource != "namespaces"
	case i.APIGroup == clusterv1.GroupName:
		return i.Resource != "spaces" && i.Resource != "sleepmodeconfigs"
	}
	return true
}

// readsAsInformer says whether a request is a watch, or a list such as those that come before one.
func readsAsInformer(q Request) bool {
	return q.Info.Verb == "watch" || q.Info.Verb == "list" && hasResourceVersion(q.Query)
}

// hasResourceVersion finds the parameter resourceVersion with a value, without parsing the query.
func hasResourceVersion(query string) bool {
	const parameter = "resourceVersion="
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if strings.HasPrefix(pair, parameter) && len(pair) > len(parameter) {
			return true
		}
	}
	return false
}

// isPerson says whether a user is none of the cluster's own.
func isPerson(u user.Info) bool { return u != nil && !strings.HasPrefix(u.GetName(), "system:") }

func asksToIgnore(h http.Header) bool {
	values := h[IgnoreHeader]
	return len(values) > 0 && values[0] == "true"
}

// ignores says whether the namespace's annotations take q out.
func (r *Rules) ignores(q Request) bool {
	if r.all || r.virtualClusters && q.VirtualCluster != "" {
		return true
	}
	if _, found := r.verbs[q.Info.Verb]; found {
		return true
	}
	if r.ignoresResource(q.Info) || r.ignoresGroup(q.User) {
		return true
	}
	agents := q.Header["User-Agent"]
	return len(agents) > 0 && r.ignoresAgent(agents[0])
}

func (r *Rules) ignoresResource(i *request.RequestInfo) bool {
	key := resource{group: i.APIGroup, name: i.Resource}
	if _, found := r.resources[key]; found {
		return true
	}
	if _, found := r.resourceVerbs[key][i.Verb]; found {
		return true
	}
	_, found := r.resourceNames[key][i.Name]
	return found
}

func (r *Rules) ignoresGroup(u user.Info) bool {
	if len(r.groups) == 0 {
		return false
	}
	for _, group := range u.GetGroups() {
		if _, found := r.groups[group]; found {
			return true
		}
	}
	return false
}

// info describes q, made under the name host.
func (q Request) info(host string) clusterv1.LastActivityInfo {
	return clusterv1.LastActivityInfo{
		Subject: annotations.Person(q.User.GetName()), Host: host, Verb: q.Info.Verb, APIGroup: q.Info.APIGroup,
		Resource: q.Info.Resource, Subresource: q.Info.Subresource, Name: q.Info.Name, VirtualCluster: q.VirtualCluster,
	}
}

// Opens says whether a request opens a connection that keeps its namespace awake.
func Opens(i *request.RequestInfo) bool {
	switch i.Subresource {
	case "exec", "attach", "portforward":
		return i.APIGroup == "" && i.Resource == "pods"
	}
	return false
}

// NeedsWorkload says whether a request can only be answered by something that runs. Reading one pod is
// such a request: kubectl does so before each exec, attach, port-forward and log, and the pods of what
// sleeps are gone.
func NeedsWorkload(i *request.RequestInfo) bool {
	if Opens(i) {
		return true
	}
	switch i.Subresource {
	case "":
		return i.Verb == "get" && i.APIGroup == "" && i.Resource == "pods"
	case "log":
		return i.APIGroup == "" && i.Resource == "pods"
	case "proxy":
		return i.APIGroup == "" && (i.Resource == "pods" || i.Resource == "services")
	}
	return false
}
