package view

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/statuserr"
)

// copyMeta copies all metadata but managedFields.
func copyMeta(from, to metav1.Object) {
	to.SetName(from.GetName())
	to.SetGenerateName(from.GetGenerateName())
	to.SetUID(from.GetUID())
	to.SetResourceVersion(from.GetResourceVersion())
	to.SetGeneration(from.GetGeneration())
	to.SetCreationTimestamp(from.GetCreationTimestamp())
	to.SetDeletionTimestamp(from.GetDeletionTimestamp())
	to.SetDeletionGracePeriodSeconds(from.GetDeletionGracePeriodSeconds())
	to.SetLabels(from.GetLabels())
	to.SetAnnotations(from.GetAnnotations())
	to.SetOwnerReferences(from.GetOwnerReferences())
	to.SetFinalizers(from.GetFinalizers())
}

func copyListMeta(from, to runtime.Object) error {
	source, err := meta.ListAccessor(from)
	if err != nil {
		return fmt.Errorf("metadata of a list: %w", err)
	}
	target, err := meta.ListAccessor(to)
	if err != nil {
		return fmt.Errorf("metadata of a list: %w", err)
	}
	target.SetResourceVersion(source.GetResourceVersion())
	target.SetContinue(source.GetContinue())
	target.SetRemainingItemCount(source.GetRemainingItemCount())
	return nil
}

// renamed are entries for the version of the view: server-side apply looks for those alone.
func renamed(entries []metav1.ManagedFieldsEntry, version schema.GroupVersion) []metav1.ManagedFieldsEntry {
	if entries == nil {
		return nil
	}
	out := make([]metav1.ManagedFieldsEntry, len(entries))
	for i, entry := range entries {
		entry.APIVersion = version.String()
		out[i] = entry
	}
	return out
}

// translate has an error of the central cluster speak of the view's group.
func (s *Store[V, S, L]) translate(err error) error {
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		return unavailable(err)
	}
	out := apierrors.StatusError{ErrStatus: *status.ErrStatus.DeepCopy()}
	if details := out.ErrStatus.Details; details != nil && details.Group == storagev1.GroupName {
		details.Group = s.kind.GroupVersion.Group
	}
	switch out.ErrStatus.Code {
	case 401, 403:
		// It is the manager that may not, and the person can do nothing about it.
		return apierrors.NewInternalError(fmt.Errorf("the manager has no permission for %s: %w", s.kind.Resource, err))
	}
	out.ErrStatus.Message = strings.ReplaceAll(out.ErrStatus.Message, storagev1.GroupName, s.kind.GroupVersion.Group)
	return &out
}

// unavailable says that something could not be found out, where err says no more.
func unavailable(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return err
	}
	return statuserr.Unavailable("the central cluster does not answer: "+err.Error(), 1)
}

// kindOf is the name of a view's kind, which is its type's name.
func kindOf(view any) string { return reflect.TypeOf(view).Elem().Name() }
