package spaces

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

// Resource is the resource's name.
const Resource = "spaces"

// NewAuthorizer asks host about a space inside of the namespace of its name, and lets everybody list:
// lists hold only what their reader may see. All else is passed on.
func NewAuthorizer(host authorizer.UnconditionalAuthorizer) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(insider{host}.authorize)
}

type insider struct {
	host authorizer.UnconditionalAuthorizer
}

func (a insider) authorize(ctx context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	if !attributes.IsResourceRequest() || attributes.GetAPIGroup() != clusterv1.GroupName ||
		attributes.GetResource() != Resource || attributes.GetSubresource() != "" {
		return a.host.Authorize(ctx, attributes)
	}
	switch attributes.GetVerb() {
	case "list", "watch":
		return authorizer.DecisionAllow, "a list of spaces holds what its reader may see", nil
	case "create", "deletecollection":
		return a.host.Authorize(ctx, attributes)
	case "get":
		// Whoever may get the namespace sees it as a space.
		decision, reason, err := a.host.Authorize(ctx, namespaceAttributes("get", attributes.GetUser(), attributes.GetName()))
		if decision == authorizer.DecisionAllow {
			return decision, reason, err
		}
	}
	return a.host.Authorize(ctx, inside{attributes})
}

// inside are the attributes of a space as if it were in the namespace of its name.
type inside struct{ authorizer.Attributes }

// GetNamespace returns the space's name.
func (i inside) GetNamespace() string { return i.GetName() }

// namespaceAttributes are those of a request for a namespace itself.
func namespaceAttributes(verb string, person user.Info, name string) authorizer.Attributes {
	return authorizer.AttributesRecord{
		User: person, Verb: verb, Namespace: name, APIVersion: "v1", Resource: "namespaces", Name: name, ResourceRequest: true,
	}
}
