package view

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/rest"
)

// maxConflicts is how often an update is made again that another one came before.
const maxConflicts = 5

// Create makes a custom resource.
func (s *Store[V, S, L]) Create(ctx context.Context, object runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	view, ok := object.(V)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%T is not a %s", object, s.kind.Singular))
	}
	if err := s.admitCreation(ctx, view, validate); err != nil {
		return nil, err
	}
	stored := s.kind.NewStored()
	s.fill(view, stored)
	created, err := s.kind.Client.Create(ctx, stored, metav1.CreateOptions{
		DryRun: options.DryRun, FieldManager: fieldManager(ctx, options.FieldManager),
	})
	if err != nil {
		return nil, s.translate(err)
	}
	return s.show(created), nil
}

func (s *Store[V, S, L]) admitCreation(ctx context.Context, view V, validate rest.ValidateObjectFunc) error {
	if validate != nil {
		if err := validate(ctx, view.DeepCopyObject()); err != nil {
			return err
		}
	}
	return s.validate(view, s.kind.New())
}

func (s *Store[V, S, L]) validate(view, before V) error {
	if s.kind.Validate == nil {
		return nil
	}
	if errs := s.kind.Validate(view, before); len(errs) > 0 {
		kind := s.kind.GroupVersion.WithKind(kindOf(view)).GroupKind()
		return apierrors.NewInvalid(kind, view.GetName(), errs)
	}
	return nil
}

// fill writes a view into a custom resource.
func (s *Store[V, S, L]) fill(view V, stored S) {
	copyMeta(view, stored)
	stored.SetManagedFields(nil)
	s.kind.Store(view, stored)
}

// Update changes a custom resource, or makes one for a server-side apply.
func (s *Store[V, S, L]) Update(ctx context.Context, name string, change rest.UpdatedObjectInfo, validateCreation rest.ValidateObjectFunc,
	validate rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	for attempt := 0; ; attempt++ {
		stored, err := s.get(ctx, name, nil)
		if apierrors.IsNotFound(err) && forceAllowCreate {
			view, err := s.createByUpdate(ctx, name, change, validateCreation, options)
			return view, err == nil, err
		}
		if err != nil {
			return nil, false, err
		}
		view, again, err := s.update(ctx, stored, change, validate, options)
		if again && attempt < maxConflicts {
			// A change that names no resource version is made anew; another one finds its
			// conflict there.
			continue
		}
		return view, false, err
	}
}

func (s *Store[V, S, L]) update(ctx context.Context, stored S, change rest.UpdatedObjectInfo, validate rest.ValidateObjectUpdateFunc, options *metav1.UpdateOptions) (updated runtime.Object, again bool, err error) {
	view, err := s.changed(ctx, s.show(stored), change, validate)
	if err != nil {
		return nil, false, err
	}
	if isApply(ctx) {
		updated, err = s.apply(ctx, view.GetName(), options)
		return updated, false, err
	}
	next, ok := stored.DeepCopyObject().(S)
	if !ok {
		return nil, false, fmt.Errorf("copy of %T is another type", stored)
	}
	s.fill(view, next)
	next, err = s.kind.Client.Update(ctx, next, metav1.UpdateOptions{
		DryRun: options.DryRun, FieldManager: fieldManager(ctx, options.FieldManager),
	})
	if err != nil {
		return nil, apierrors.IsConflict(err), s.translate(err)
	}
	return s.show(next), false, nil
}

// changed returns what a view is to become, admitted.
func (s *Store[V, S, L]) changed(ctx context.Context, before V, change rest.UpdatedObjectInfo, validate rest.ValidateObjectUpdateFunc) (V, error) {
	var none V
	object, err := change.UpdatedObject(ctx, before.DeepCopyObject())
	if err != nil {
		return none, err
	}
	view, ok := object.(V)
	if !ok {
		return none, apierrors.NewBadRequest(fmt.Sprintf("%T is not a %s", object, s.kind.Singular))
	}
	if err := s.precondition(view, before, change.Preconditions()); err != nil {
		return none, err
	}
	if validate != nil {
		if err := validate(ctx, view.DeepCopyObject(), before.DeepCopyObject()); err != nil {
			return none, err
		}
	}
	return view, s.validate(view, before)
}

// precondition refuses a change of another object than the one that is there.
func (s *Store[V, S, L]) precondition(view, before V, want *metav1.Preconditions) error {
	conflict := func(what string) error {
		return apierrors.NewConflict(s.resource(), before.GetName(),
			fmt.Errorf("the object has been modified: its %s is another; apply your changes to the latest version", what))
	}
	if view.GetResourceVersion() == "" {
		view.SetResourceVersion(before.GetResourceVersion())
	}
	uid := view.GetUID()
	if want != nil && want.UID != nil {
		uid = *want.UID
	}
	switch {
	case view.GetResourceVersion() != before.GetResourceVersion():
		return conflict("resourceVersion")
	case uid != "" && uid != before.GetUID():
		return conflict("uid")
	case view.GetName() != before.GetName():
		return apierrors.NewBadRequest("the name of an object cannot change")
	}
	return nil
}

func (s *Store[V, S, L]) createByUpdate(ctx context.Context, name string, change rest.UpdatedObjectInfo, validate rest.ValidateObjectFunc, options *metav1.UpdateOptions) (runtime.Object, error) {
	object, err := change.UpdatedObject(ctx, s.kind.New())
	if err != nil {
		return nil, err
	}
	view, ok := object.(V)
	if !ok || view.GetName() != name {
		return nil, apierrors.NewBadRequest("metadata.name must be the name in the URL")
	}
	if !isApply(ctx) {
		return s.Create(ctx, view, validate, &metav1.CreateOptions{DryRun: options.DryRun, FieldManager: options.FieldManager})
	}
	if err := s.admitCreation(ctx, view, validate); err != nil {
		return nil, err
	}
	return s.apply(ctx, name, options)
}

// Delete deletes a custom resource. One with finalizers is deleted later.
func (s *Store[V, S, L]) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	stored, err := s.get(ctx, name, nil)
	if err != nil {
		return nil, false, err
	}
	view := s.show(stored)
	if validate != nil {
		if err := validate(ctx, view.DeepCopyObject()); err != nil {
			return nil, false, err
		}
	}
	passed := metav1.DeleteOptions{}
	if options != nil {
		passed = *options.DeepCopy()
		passed.TypeMeta = metav1.TypeMeta{}
	}
	if passed.Preconditions == nil {
		passed.Preconditions = &metav1.Preconditions{}
	}
	if passed.Preconditions.UID == nil {
		// What was seen is what is deleted, and not one that took its name.
		uid := types.UID(stored.GetUID())
		passed.Preconditions.UID = &uid
	}
	if err := s.kind.Client.Delete(ctx, name, passed); err != nil {
		return nil, false, s.translate(err)
	}
	return view, len(stored.GetFinalizers()) == 0, nil
}
