package bindings

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"loft.sh/agent/pkg/manager/installer"
	"loft.sh/agent/pkg/manager/netfault"
)

const (
	// label marks what this package made, and may take away.
	label = "loft.sh/cluster-access"
	// accessAnnotation names the ClusterAccess.
	accessAnnotation = "loft.sh/cluster-access"
)

// Reasons of an Error.
const (
	// ReasonBindingRefused: the manager's own credential may not bind that role.
	ReasonBindingRefused = "BindingRefused"
	// ReasonNamespaceNotFound: a ClusterAccess names a namespace that the cluster does not have.
	ReasonNamespaceNotFound = "NamespaceNotFound"
	// ReasonBindingFailed: something else.
	ReasonBindingFailed = "BindingFailed"
)

// maxFaults bounds what an error names.
const maxFaults = 5

// Error says which bindings are not as they should be. All others are.
type Error struct {
	// Reason is that of the first fault.
	Reason  string
	Message string
}

func (e *Error) Error() string { return e.Message }

var (
	clusterRoleBindings = rbacv1.SchemeGroupVersion.WithResource("clusterrolebindings")
	roleBindings        = rbacv1.SchemeGroupVersion.WithResource("rolebindings")
)

// key is where a binding is.
type key struct{ namespace, name string }

// Sync makes the bindings of a cluster those that are wanted, and says how many it changed. The error is
// an *Error; what could be done was done.
func Sync(ctx context.Context, host dynamic.Interface, wanted []Binding) (changed int, err error) {
	live, err := list(ctx, host)
	if err != nil {
		return 0, err
	}
	var faults faults
	keep := map[key]bool{}
	for _, binding := range wanted {
		keep[key{binding.Namespace, binding.Name}] = true
	}
	for at, object := range live {
		if keep[at] || installer.Unmanaged(object.GetAnnotations()) {
			continue
		}
		faults.add(remove(ctx, host, object), at, &changed)
	}
	for _, binding := range wanted {
		at := key{binding.Namespace, binding.Name}
		wrong, err := differs(ctx, host, live[at], binding)
		if err == nil && !wrong {
			continue
		}
		if err == nil {
			err = apply(ctx, host, binding)
		}
		faults.add(err, at, &changed)
	}
	return changed, faults.err()
}

// list returns what was made here earlier.
func list(ctx context.Context, host dynamic.Interface) (map[key]*unstructured.Unstructured, error) {
	found := map[key]*unstructured.Unstructured{}
	for _, resource := range []dynamic.ResourceInterface{host.Resource(clusterRoleBindings), host.Resource(roleBindings)} {
		objects, err := resource.List(ctx, metav1.ListOptions{LabelSelector: label + "=true"})
		if err != nil {
			_, message := netfault.Of(err)
			return nil, &Error{ReasonBindingFailed, "list role bindings: " + message}
		}
		for i := range objects.Items {
			object := &objects.Items[i]
			found[key{object.GetNamespace(), object.GetName()}] = object
		}
	}
	return found, nil
}

// differs says whether a binding must be applied. The one of the endpoint may be there without our label:
// the manifests have it.
func differs(ctx context.Context, host dynamic.Interface, live *unstructured.Unstructured, wanted Binding) (bool, error) {
	if live == nil && wanted.Access == "" {
		found, err := clientFor(host, wanted.Namespace).Get(ctx, wanted.Name, metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return false, err
		}
		return err != nil || !installer.Unmanaged(found.GetAnnotations()), nil
	}
	if live == nil {
		return true, nil
	}
	if installer.Unmanaged(live.GetAnnotations()) {
		return false, nil
	}
	var has, wants rbacv1.RoleBinding
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, &has); err != nil {
		return false, fmt.Errorf("it is no binding: %w", err)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(wanted.object().Object, &wants); err != nil {
		return false, fmt.Errorf("it is no binding: %w", err)
	}
	same := has.RoleRef == wants.RoleRef && len(has.Subjects) == len(wants.Subjects) &&
		(len(has.Subjects) == 0 || reflect.DeepEqual(has.Subjects, wants.Subjects)) &&
		has.Annotations[accessAnnotation] == wants.Annotations[accessAnnotation]
	return !same, nil
}

func apply(ctx context.Context, host dynamic.Interface, binding Binding) error {
	_, err := clientFor(host, binding.Namespace).Apply(ctx, binding.Name, binding.object(),
		metav1.ApplyOptions{FieldManager: installer.FieldManager, Force: true})
	return err
}

func remove(ctx context.Context, host dynamic.Interface, object *unstructured.Unstructured) error {
	uid := object.GetUID()
	err := clientFor(host, object.GetNamespace()).Delete(ctx, object.GetName(),
		metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: (*types.UID)(&uid)}})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func clientFor(host dynamic.Interface, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return host.Resource(clusterRoleBindings)
	}
	return host.Resource(roleBindings).Namespace(namespace)
}

// object is the binding as it is applied.
func (b Binding) object() *unstructured.Unstructured {
	kind := "ClusterRoleBinding"
	metadata := map[string]any{
		"name":   b.Name,
		"labels": map[string]any{label: "true", "app.kubernetes.io/managed-by": installer.FieldManager},
	}
	if b.Namespace != "" {
		kind, metadata["namespace"] = "RoleBinding", b.Namespace
	}
	if b.Access != "" {
		metadata["annotations"] = map[string]any{accessAnnotation: b.Access}
	}
	subjects := []any{}
	for _, group := range b.Groups {
		subjects = append(subjects, map[string]any{"apiGroup": rbacv1.GroupName, "kind": rbacv1.GroupKind, "name": group})
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": rbacv1.SchemeGroupVersion.String(), "kind": kind, "metadata": metadata,
		"roleRef":  map[string]any{"apiGroup": rbacv1.GroupName, "kind": "ClusterRole", "name": b.Role},
		"subjects": subjects,
	}}
}

// faults gathers what went wrong.
type faults struct {
	reason   string
	messages []string
	more     int
}

// add counts a change, or notes why there was none.
func (f *faults) add(err error, at key, changed *int) {
	if err == nil {
		*changed++
		return
	}
	_, message := netfault.Of(err)
	var reason string
	switch {
	case apierrors.IsForbidden(err):
		reason = ReasonBindingRefused
	case apierrors.IsNotFound(err) && at.namespace != "":
		reason = ReasonNamespaceNotFound
	default:
		reason = ReasonBindingFailed
	}
	if f.reason == "" {
		f.reason = reason
	}
	if len(f.messages) == maxFaults {
		f.more++
		return
	}
	where := at.name
	if at.namespace != "" {
		where = at.namespace + "/" + at.name
	}
	f.messages = append(f.messages, where+": "+message)
}

func (f *faults) err() error {
	if len(f.messages) == 0 {
		return nil
	}
	message := strings.Join(f.messages, "; ")
	if f.more > 0 {
		message += fmt.Sprintf("; and %d more", f.more)
	}
	return &Error{f.reason, message}
}
