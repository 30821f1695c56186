package spaces

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/registry/sleepmodeconfigs"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
	"loft.sh/agent/pkg/agent/sleepmode/view"
	"loft.sh/agent/pkg/agent/sleepmode/workload"
)

// BindingName is the name of the role binding that makes the owner of a space its administrator.
const BindingName = "loft-space-owner"

// adminRole is the cluster role that an owner has.
const adminRole = "admin"

// people is how the names of people and of their own groups begin.
const people = "loft:user:"

// Create makes the namespace, binds its owner and applies its manifests. What cannot be finished is
// taken back.
func (r *REST) Create(ctx context.Context, object runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	space, person, err := r.wanted(ctx, object)
	if err != nil {
		return nil, err
	}
	manifests, err := r.check(ctx, space, nil, person)
	if err != nil {
		return nil, err
	}
	if validate != nil {
		if err := validate(ctx, space); err != nil {
			return nil, err
		}
	}
	namespace := namespaceOf(space)
	namespace.GenerateName = space.GenerateName
	made, err := r.HostClient.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{FieldManager: workload.FieldManager, DryRun: options.DryRun})
	if err != nil {
		return nil, ofSpace(err, space.Name)
	}
	if len(options.DryRun) > 0 {
		return view.Space(made, r.Now()), nil
	}
	if err := r.furnish(ctx, made, space.Spec, person, manifests); err != nil {
		undo := context.WithoutCancel(ctx)
		_ = r.HostClient.CoreV1().Namespaces().Delete(undo, made.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &made.UID}})
		return nil, err
	}
	return view.Space(made, r.Now()), nil
}

// wanted is the space that a person wants: it is the person's, where nothing else is said.
func (r *REST) wanted(ctx context.Context, object runtime.Object) (*clusterv1.Space, user.Info, error) {
	space, ok := object.(*clusterv1.Space)
	if !ok {
		return nil, nil, apierrors.NewBadRequest("the object is no Space")
	}
	person, ok := request.UserFrom(ctx)
	if !ok {
		return nil, nil, apierrors.NewInternalError(errors.New("no user in the context"))
	}
	space = space.DeepCopy()
	if name, isPerson := strings.CutPrefix(person.GetName(), people); isPerson && space.Spec.User == "" && space.Spec.Team == "" {
		space.Spec.User = name
	}
	return space, person, nil
}

// check returns what is wrong with a space that is written over before, nil where it is made. It
// returns the manifests.
func (r *REST) check(ctx context.Context, space *clusterv1.Space, before *corev1.Namespace, person user.Info) (Manifests, error) {
	var errs field.ErrorList
	path := field.NewPath("spec")
	if space.Spec.User != "" && space.Spec.Team != "" {
		errs = append(errs, field.Invalid(path.Child("team"), space.Spec.Team, "a space belongs to a user or a team, not to both"))
	}
	for name, value := range map[string]string{"user": space.Spec.User, "team": space.Spec.Team} {
		for _, reason := range validation.IsValidLabelValue(value) {
			errs = append(errs, field.Invalid(path.Child(name), value, reason))
		}
	}
	manifests, err := r.Applier.Parse(space.Spec.Objects)
	if err != nil {
		errs = append(errs, field.Invalid(path.Child("objects"), "(manifests)", err.Error()))
	}
	errs = append(errs, checkSleepMode(space)...)
	if len(errs) > 0 {
		return nil, apierrors.NewInvalid(clusterv1.Kind("Space"), space.Name, errs)
	}
	return manifests, r.checkTrusted(ctx, space, before, person)
}

// checkSleepMode finds annotations of sleep mode that cannot be read.
func checkSleepMode(space *clusterv1.Space) field.ErrorList {
	var errs field.ErrorList
	state, err := annotations.ReadNamespace(space.Annotations)
	path := field.NewPath("metadata", "annotations")
	for _, e := range annotations.Errors(err) {
		errs = append(errs, field.Invalid(path.Key(e.Key), space.Annotations[e.Key], e.Reason))
	}
	return append(errs, sleepmodeconfigs.Validate(&clusterv1.SleepModeConfig{Spec: state.Spec})...)
}

// checkTrusted refuses changes of what other parts of the cluster trust by somebody who may not patch
// the namespace itself.
func (r *REST) checkTrusted(ctx context.Context, space *clusterv1.Space, before *corev1.Namespace, person user.Info) error {
	var labels, notes map[string]string
	if before != nil {
		labels, notes = before.Labels, before.Annotations
	}
	key := changedTrusted(labels, space.Labels)
	if key == "" {
		key = changedTrusted(notes, space.Annotations)
	}
	if key == "" {
		return nil
	}
	decision, _, err := r.Authorizer.Authorize(ctx, namespaceAttributes("patch", person, space.Name))
	if decision == authorizer.DecisionAllow {
		return nil
	}
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("ask who may patch namespace %s: %w", space.Name, err))
	}
	return apierrors.NewForbidden(clusterv1.Resource(Resource), space.Name,
		fmt.Errorf("label or annotation %s is the cluster's: only who may patch the namespace may set it", key))
}

// changedTrusted returns a key of Kubernetes' own that differs.
func changedTrusted(before, after map[string]string) string {
	for _, pair := range [][2]map[string]string{{before, after}, {after, before}} {
		for key, value := range pair[0] {
			domain, _, qualified := strings.Cut(key, "/")
			isOurs := domain == "kubernetes.io" || domain == "k8s.io" || strings.HasSuffix(domain, ".kubernetes.io") || strings.HasSuffix(domain, ".k8s.io")
			if other, found := pair[1][key]; qualified && isOurs && key != corev1.LabelMetadataName && (!found || other != value) {
				return key
			}
		}
	}
	return ""
}

// namespaceOf is the namespace of a space that is made.
func namespaceOf(space *clusterv1.Space) *corev1.Namespace {
	return &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: space.Name, Labels: labelsOf(space), Annotations: annotationsOf(space)},
	}
}

func labelsOf(space *clusterv1.Space) map[string]string {
	return withValues(space.Labels, map[string]string{annotations.UserKey: space.Spec.User, annotations.TeamKey: space.Spec.Team})
}

func annotationsOf(space *clusterv1.Space) map[string]string {
	return withValues(space.Annotations, map[string]string{view.ObjectsKey: space.Spec.Objects})
}

// withValues sets values in a copy of from; empty ones are removed.
func withValues(from, values map[string]string) map[string]string {
	all := maps.Clone(from)
	if all == nil {
		all = map[string]string{}
	}
	for key, value := range values {
		if value == "" {
			delete(all, key)
		} else {
			all[key] = value
		}
	}
	return all
}

// furnish binds the owner and applies the manifests.
func (r *REST) furnish(ctx context.Context, namespace *corev1.Namespace, spec clusterv1.SpaceSpec, person user.Info, manifests Manifests) error {
	if err := r.bindOwner(ctx, namespace.Name, spec); err != nil {
		return err
	}
	if len(manifests) == 0 {
		return nil
	}
	return r.Applier.Apply(ctx, person, namespace.Name, manifests)
}

// bindOwner makes the owner, and nobody else by that binding, administrator of the namespace.
func (r *REST) bindOwner(ctx context.Context, namespace string, spec clusterv1.SpaceSpec) error {
	group := people + spec.User
	if spec.Team != "" {
		group = "loft:team:" + spec.Team
	} else if spec.User == "" {
		return nil
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: BindingName, Namespace: namespace, Labels: map[string]string{"app.kubernetes.io/managed-by": workload.FieldManager}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: adminRole},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: group}},
	}
	bindings := r.HostClient.RbacV1().RoleBindings(namespace)
	_, err := bindings.Create(ctx, binding, metav1.CreateOptions{FieldManager: workload.FieldManager})
	if apierrors.IsAlreadyExists(err) {
		patch := fmt.Sprintf(`{"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":%q}]}`, group)
		_, err = bindings.Patch(ctx, BindingName, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: workload.FieldManager})
	}
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("make the owner administrator of space %s: %w", namespace, err))
	}
	return nil
}

// ofSpace is an error of a namespace as one of its space.
func ofSpace(err error, name string) error {
	switch {
	case apierrors.IsAlreadyExists(err):
		return apierrors.NewAlreadyExists(clusterv1.Resource(Resource), name)
	case apierrors.IsNotFound(err):
		return apierrors.NewNotFound(clusterv1.Resource(Resource), name)
	case apierrors.IsConflict(err):
		return apierrors.NewConflict(clusterv1.Resource(Resource), name, errChanged)
	}
	return err
}

var errChanged = errors.New("the space has changed since it was read; read it again")
