package rights

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// subject is a user or a group.
type subject struct{ kind, name string }

// grant is what bindings give a subject.
type grant struct {
	// all: every namespace.
	all   bool
	names sets.Set[string]
}

// index is what all bindings give; it never changes.
type index map[subject]*grant

func (i index) grant(s rbacv1.Subject) *grant {
	key := subject{kind: s.Kind, name: s.Name}
	if s.Kind == rbacv1.ServiceAccountKind {
		key = subject{kind: rbacv1.UserKind, name: serviceaccount.MakeUsername(s.Namespace, s.Name)}
	}
	g := i[key]
	if g == nil {
		g = &grant{names: sets.New[string]()}
		i[key] = g
	}
	return g
}

// verdict is what a role gives.
type verdict struct {
	all   bool
	names []string
}

func judge(rules []rbacv1.PolicyRule) verdict {
	var v verdict
	for _, rule := range rules {
		if !has(rule.Verbs, "get") || !shows(rule) {
			continue
		}
		v.all = v.all || len(rule.ResourceNames) == 0
		v.names = append(v.names, rule.ResourceNames...)
	}
	return v
}

// shows says whether a rule is about namespaces. Rights to spaces say nothing: everybody has them.
func shows(rule rbacv1.PolicyRule) bool {
	return has(rule.APIGroups, "") && has(rule.Resources, "namespaces")
}

func has(list []string, wanted string) bool {
	return slices.Contains(list, wanted) || slices.Contains(list, "*")
}

// addCluster adds what a binding in the cluster gives.
func (i index) addCluster(subjects []rbacv1.Subject, v verdict) {
	if !v.all && len(v.names) == 0 {
		return
	}
	for _, s := range subjects {
		g := i.grant(s)
		g.all = g.all || v.all
		g.names.Insert(v.names...)
	}
}

// addNamespace adds what a binding in a namespace gives.
func (i index) addNamespace(namespace string, subjects []rbacv1.Subject, v verdict) {
	if !v.all && !slices.Contains(v.names, namespace) {
		return
	}
	for _, s := range subjects {
		i.grant(s).names.Insert(namespace)
	}
}

// visible are the namespaces that a person may see.
func (i index) visible(person user.Info) Visible {
	if slices.Contains(person.GetGroups(), user.SystemPrivilegedGroup) {
		return Visible{All: true}
	}
	var v Visible
	add := func(s subject) {
		if g := i[s]; g != nil {
			v.All = v.All || g.all
			v.sets = append(v.sets, g.names)
		}
	}
	add(subject{kind: rbacv1.UserKind, name: person.GetName()})
	for _, group := range person.GetGroups() {
		add(subject{kind: rbacv1.GroupKind, name: group})
	}
	return v
}

// Visible are the namespaces that a person may see.
type Visible struct {
	// All: every one.
	All  bool
	sets []sets.Set[string]
}

// Has says whether a namespace is among them.
func (v Visible) Has(namespace string) bool {
	return v.All || slices.ContainsFunc(v.sets, func(s sets.Set[string]) bool { return s.Has(namespace) })
}
