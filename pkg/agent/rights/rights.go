package rights

import (
	"fmt"
	"sync"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/authentication/user"
	rbacinformers "k8s.io/client-go/informers/rbac/v1"
	"k8s.io/client-go/tools/cache"
)

// Rights follows the cluster's RBAC.
type Rights struct {
	rbac   rbacinformers.Interface
	synced []cache.InformerSynced
	// version counts changes.
	version atomic.Uint64

	lock sync.Mutex
	// built is the version that index is of.
	built uint64
	index index
}

// New follows what rbac's informers hold, which the caller runs.
func New(rbac rbacinformers.Interface) (*Rights, error) {
	r := &Rights{rbac: rbac}
	r.version.Store(1)
	changed := func(any) { r.version.Add(1) }
	handler := cache.ResourceEventHandlerFuncs{AddFunc: changed, UpdateFunc: func(_, _ any) { changed(nil) }, DeleteFunc: changed}
	for _, informer := range []cache.SharedIndexInformer{
		rbac.ClusterRoles().Informer(), rbac.ClusterRoleBindings().Informer(), rbac.Roles().Informer(), rbac.RoleBindings().Informer(),
	} {
		registration, err := informer.AddEventHandler(handler)
		if err != nil {
			return nil, fmt.Errorf("follow RBAC: %w", err)
		}
		r.synced = append(r.synced, registration.HasSynced)
	}
	return r, nil
}

// Version changes whenever anybody's rights may have changed.
func (r *Rights) Version() uint64 { return r.version.Load() }

// Visible returns the namespaces that a person may see. The error is an API status error: RBAC has
// not been read yet.
func (r *Rights) Visible(person user.Info) (Visible, error) {
	for _, synced := range r.synced {
		if !synced() {
			return Visible{}, apierrors.NewServiceUnavailable("the cluster's RBAC is still being read; try again")
		}
	}
	built, err := r.current()
	if err != nil {
		return Visible{}, apierrors.NewInternalError(err)
	}
	return built.visible(person), nil
}

// current returns the index, built anew if anything has changed.
func (r *Rights) current() (index, error) {
	r.lock.Lock()
	defer r.lock.Unlock()
	version := r.version.Load()
	if r.built == version {
		return r.index, nil
	}
	built, err := r.build()
	if err != nil {
		return nil, err
	}
	r.index, r.built = built, version
	return built, nil
}

func (r *Rights) build() (index, error) {
	roles, err := r.judgeRoles()
	if err != nil {
		return nil, err
	}
	built := index{}
	clusterBindings, err := r.rbac.ClusterRoleBindings().Lister().List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("cluster role bindings: %w", err)
	}
	for _, b := range clusterBindings {
		built.addCluster(b.Subjects, roles[roleKey{"", b.RoleRef.Name}])
	}
	bindings, err := r.rbac.RoleBindings().Lister().List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("role bindings: %w", err)
	}
	for _, b := range bindings {
		key := roleKey{"", b.RoleRef.Name}
		if b.RoleRef.Kind == "Role" {
			key.namespace = b.Namespace
		}
		built.addNamespace(b.Namespace, b.Subjects, roles[key])
	}
	return built, nil
}

// roleKey is a role in a namespace, or a cluster role.
type roleKey struct{ namespace, name string }

func (r *Rights) judgeRoles() (map[roleKey]verdict, error) {
	verdicts := map[roleKey]verdict{}
	clusterRoles, err := r.rbac.ClusterRoles().Lister().List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("cluster roles: %w", err)
	}
	for _, role := range clusterRoles {
		verdicts[roleKey{"", role.Name}] = judge(role.Rules)
	}
	roles, err := r.rbac.Roles().Lister().List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("roles: %w", err)
	}
	for _, role := range roles {
		verdicts[roleKey{role.Namespace, role.Name}] = judge(role.Rules)
	}
	return verdicts, nil
}
