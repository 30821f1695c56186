package access

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	managementv1 "loft.sh/agent/apis/management/v1"
)

// VerbUse is the verb of the central cluster's RBAC that gives all objects of a resource, or one by
// name, to somebody.
const VerbUse = "use"

// Set is a set of names, maybe of all names there are.
type Set struct {
	all   bool
	names sets.Set[string]
}

// All is the set of all names.
func All() Set { return Set{all: true} }

// Only is the set of the given names.
func Only(names ...string) Set { return Set{names: sets.New(names...)} }

// Has says whether name is in the set.
func (s Set) Has(name string) bool { return s.all || s.names.Has(name) }

// Everything says whether every name is in the set.
func (s Set) Everything() bool { return s.all }

// Equal says whether both sets hold the same names.
func (s Set) Equal(other Set) bool {
	return s.all == other.all && (s.all || s.names.Equal(other.names))
}

// Policy decides what people may use and see.
type Policy struct {
	*Directory
	// Authorizer asks the central cluster.
	Authorizer authorizer.Authorizer
}

// Clusters returns the names of the clusters that info may use. The error says that it could not be
// found out.
func (p *Policy) Clusters(ctx context.Context, info user.Info) (Set, error) {
	person := p.Person(info)
	if person.refused {
		return Only(), nil
	}
	may := p.Granted(&person)
	if !may.all {
		all, err := p.usesAll(ctx, person.Info, "clusters", "")
		if err != nil {
			return Only(), err
		}
		may.all = all
	}
	return narrow(may, &person), nil
}

// MayUseCluster says whether info may use the cluster.
func (p *Policy) MayUseCluster(ctx context.Context, info user.Info, cluster string) (bool, error) {
	person := p.Person(info)
	if person.refused || !narrow(Only(cluster), &person).Has(cluster) {
		return false, nil
	}
	if p.Granted(&person).Has(cluster) {
		return true, nil
	}
	return p.usesAll(ctx, person.Info, "clusters", cluster)
}

// Users returns the names of the users whom info sees.
func (p *Policy) Users(ctx context.Context, info user.Info) (Set, error) {
	person := p.Person(info)
	return p.ownOrAll(ctx, &person, "users", Only(person.User))
}

// Teams returns the names of the teams that info sees.
func (p *Policy) Teams(ctx context.Context, info user.Info) (Set, error) {
	person := p.Person(info)
	return p.ownOrAll(ctx, &person, "teams", Only(person.Teams...))
}

func (p *Policy) ownOrAll(ctx context.Context, person *Person, resource string, own Set) (Set, error) {
	if person.refused {
		return Only(), nil
	}
	if person.Scope() != nil {
		// A key that was narrowed is not an administrator's.
		return own, nil
	}
	all, err := p.usesAll(ctx, person.Info, resource, "")
	if err != nil || !all {
		return own, err
	}
	return All(), nil
}

// narrow leaves what the scope of the person's key leaves.
func narrow(may Set, person *Person) Set {
	scope := person.Scope()
	if scope == nil {
		return may
	}
	within := sets.New[string]()
	for _, c := range scope.Clusters {
		within.Insert(c.Cluster)
	}
	for _, s := range scope.Spaces {
		within.Insert(s.Cluster)
	}
	for _, v := range scope.VirtualClusters {
		within.Insert(v.Cluster)
	}
	if within.Len() == 0 {
		return may
	}
	if may.all {
		return Set{names: within}
	}
	return Set{names: may.names.Intersection(within)}
}

func (p *Policy) usesAll(ctx context.Context, info user.Info, resource, name string) (bool, error) {
	decision, _, err := p.Authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: info, Verb: VerbUse, APIGroup: managementv1.GroupName, APIVersion: managementv1.SchemeGroupVersion.Version,
		Resource: resource, Name: name, ResourceRequest: true,
	})
	if decision == authorizer.DecisionAllow {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask whether %q may %s %s: %w", info.GetName(), VerbUse, resource, err)
	}
	return false, nil
}

// ownQuestions may be asked with a key of any scope: they change nothing.
var ownQuestions = []string{"selves", "directclusterendpointtokens"}

// Scoped wraps an authorizer: who comes with an access key that was narrowed may read the management
// API and ask for what is within the scope, and nothing else; whoever was disabled, and who comes with
// a key that is gone, may do nothing.
func (p *Policy) Scoped(next authorizer.Authorizer) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		if a.GetUser() == nil {
			return authorizer.DecisionDeny, "nobody asks", nil
		}
		person := p.Person(a.GetUser())
		switch {
		case person.refused:
			return authorizer.DecisionDeny, "the user, the team or the access key was disabled, or is gone", nil
		case person.Scope() == nil || a.IsReadOnly():
			return next.Authorize(ctx, a)
		case a.GetAPIGroup() == managementv1.GroupName && slices.Contains(ownQuestions, a.GetResource()) && a.GetVerb() == "create":
			return next.Authorize(ctx, a)
		}
		return authorizer.DecisionDeny, "the access key is for reading, and for clusters within its scope", nil
	})
}
