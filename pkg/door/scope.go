package door

import (
	"fmt"
	"slices"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/proxy"
)

// OutOfScope returns why a scope does not cover the target; empty: it does. credential is how people
// call what the scope is of, such as "token".
func OutOfScope(scope *accesstoken.Scope, credential string, target *Target) string {
	if scope.ReadOnly && !reads(target) {
		return fmt.Sprintf("cannot %s here: the %s is read-only", target.Info.Verb, credential)
	}
	if target.Virtual != nil {
		return outOfVirtual(scope, credential, target.Virtual)
	}
	if len(scope.VirtualClusters) > 0 && len(scope.Spaces) == 0 {
		return fmt.Sprintf("cannot use the host cluster: the %s is for virtual clusters", credential)
	}
	if len(scope.Spaces) > 0 && !inSpaces(scope.Spaces, target) {
		return fmt.Sprintf("cannot go outside of the spaces %q, which the %s is for", scope.Spaces, credential)
	}
	return ""
}

// outOfVirtual is for requests to a virtual cluster, which is part of its space.
func outOfVirtual(scope *accesstoken.Scope, credential string, virtual *accesstoken.VirtualClusterRef) string {
	if len(scope.VirtualClusters) == 0 && len(scope.Spaces) == 0 ||
		slices.Contains(scope.VirtualClusters, *virtual) || slices.Contains(scope.Spaces, virtual.Space) {
		return ""
	}
	return fmt.Sprintf("cannot use the virtual cluster %q in space %q: the %s is for others", virtual.Name, virtual.Space, credential)
}

// reads says whether a request cannot change anything. An upgrade never counts as reading,
// whatever its method, nor does a proxy, behind which a GET may do anything.
func reads(target *Target) bool {
	info := target.Info
	if target.Lane == proxy.Upgrade || info.Subresource == "proxy" {
		return false
	}
	switch info.Verb {
	case "get", "list", "watch":
		return true
	case "head", "options":
		return !info.IsResourceRequest
	case "create":
		return asksAboutSelf(target)
	}
	return false
}

// asksAboutSelf covers what kubectl auth can-i and whoami post, which changes nothing.
func asksAboutSelf(target *Target) bool {
	switch target.Info.APIGroup {
	case "authorization.k8s.io":
		return target.Info.Resource == "selfsubjectaccessreviews" || target.Info.Resource == "selfsubjectrulesreviews"
	case "authentication.k8s.io":
		return target.Info.Resource == "selfsubjectreviews"
	}
	return false
}

// inSpaces allows discovery, questions about oneself, the namespaces themselves to be read, and
// everything in them.
func inSpaces(spaces []string, target *Target) bool {
	info := target.Info
	switch {
	case !info.IsResourceRequest:
		return info.Verb == "get" || info.Verb == "head"
	case info.Resource == "namespaces" && info.Namespace != "" && info.Subresource == "":
		return info.Verb == "get" && slices.Contains(spaces, info.Name)
	case info.Namespace != "":
		return slices.Contains(spaces, info.Namespace)
	}
	return asksAboutSelf(target)
}
