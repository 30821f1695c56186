package spaces

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

// Resource is the resource's name.
const Resource = "spaces"

// manage is the subresource that rights to a space are about. Everybody may send requests about spaces:
// the API server, which authorizes them first, knows nothing of the namespace behind one.
const manage = "manage"

// NewAuthorizer asks host about a space inside of the namespace of its name, and lets everybody list:
// lists hold only what their reader may see. All else is passed on.
func NewAuthorizer(host authorizer.UnconditionalAuthorizer) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(insider{host}.authorize)
}

type insider struct {
	host authorizer.UnconditionalAuthorizer
}

func (a insider) authorize(ctx context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	if !attributes.IsResourceRequest() || attributes.GetAPIGroup() != clusterv1.GroupName || attributes.GetResource() != Resource {
		return a.host.Authorize(ctx, attributes)
	}
	person, name := attributes.GetUser(), attributes.GetName()
	switch verb := attributes.GetVerb(); verb {
	case "list", "watch":
		return authorizer.DecisionAllow, "a list of spaces holds what its reader may see", nil
	case "create":
		return a.host.Authorize(ctx, attributes)
	case "get":
		return a.host.Authorize(ctx, namespaceAttributes(verb, person, name))
	default:
		if name == "" {
			return authorizer.DecisionNoOpinion, "spaces are changed one by one", nil
		}
		return a.host.Authorize(ctx, authorizer.AttributesRecord{
			User: person, Verb: verb, Namespace: name, APIGroup: clusterv1.GroupName, APIVersion: attributes.GetAPIVersion(),
			Resource: Resource, Subresource: manage, Name: name, ResourceRequest: true,
		})
	}
}

// namespaceAttributes are those of a request for a namespace itself.
func namespaceAttributes(verb string, person user.Info, name string) authorizer.Attributes {
	return authorizer.AttributesRecord{
		User: person, Verb: verb, Namespace: name, APIVersion: "v1", Resource: "namespaces", Name: name, ResourceRequest: true,
	}
}
