package view

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Store serves the view of a kind.
type Store[V, S Object, L runtime.Object] struct {
	kind Kind[V, S, L]
	tableConvertor[V]
}

// NewStore returns the storage of the view.
func NewStore[V, S Object, L runtime.Object](kind Kind[V, S, L]) *Store[V, S, L] {
	return &Store[V, S, L]{kind: kind, tableConvertor: tableConvertor[V]{resource: kind.Resource, columns: kind.Columns}}
}

// New returns an empty view.
func (s *Store[V, S, L]) New() runtime.Object { return s.kind.New() }

// NewList returns an empty list of views.
func (s *Store[V, S, L]) NewList() runtime.Object { return s.kind.NewList() }

// Destroy does nothing: the storage holds nothing open.
func (*Store[V, S, L]) Destroy() {}

// NamespaceScoped says that the resource belongs to the cluster.
func (*Store[V, S, L]) NamespaceScoped() bool { return false }

// GetSingularName returns the name of one object.
func (s *Store[V, S, L]) GetSingularName() string { return s.kind.Singular }

// ShortNames returns kubectl's short names.
func (s *Store[V, S, L]) ShortNames() []string { return s.kind.ShortNames }

// Categories returns the group of resources that kubectl knows this one by.
func (*Store[V, S, L]) Categories() []string { return []string{"loft"} }

// Get returns the view named name.
func (s *Store[V, S, L]) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	stored, err := s.get(ctx, name, options)
	if err != nil {
		return nil, err
	}
	return s.show(stored), nil
}

// get returns the custom resource where the person sees it. Who does not see everything is not told
// whether it exists.
func (s *Store[V, S, L]) get(ctx context.Context, name string, options *metav1.GetOptions) (S, error) {
	info, err := person(ctx)
	if err != nil {
		return s.nothing(), err
	}
	if options == nil {
		options = &metav1.GetOptions{}
	}
	stored, err := s.kind.Client.Get(ctx, name, metav1.GetOptions{ResourceVersion: options.ResourceVersion})
	if err != nil && !apierrors.IsNotFound(err) {
		return s.nothing(), s.translate(err)
	}
	found := err == nil
	if !found {
		stored = s.kind.NewStored()
	}
	switch seen, err := s.kind.Sight.Sees(ctx, info, name, stored); {
	case err != nil:
		return s.nothing(), unavailable(err)
	case !seen:
		return s.nothing(), apierrors.NewForbidden(s.resource(), name, errUnseen)
	case !found:
		return s.nothing(), apierrors.NewNotFound(s.resource(), name)
	}
	return stored, nil
}

var errUnseen = errors.New("it does not exist, or you don't have permission to use it")

// List returns what the person sees of what options select.
func (s *Store[V, S, L]) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	filter, err := s.filter(ctx)
	if err != nil {
		return nil, err
	}
	selected, err := listOptions(options)
	if err != nil {
		return nil, err
	}
	stored, err := s.kind.Client.List(ctx, selected)
	if err != nil {
		return nil, s.translate(err)
	}
	list := s.kind.NewList()
	if err := copyListMeta(stored, list); err != nil {
		return nil, err
	}
	if !filter.Names.Everything() {
		// It would count what is not seen.
		if accessor, err := meta.ListAccessor(list); err == nil {
			accessor.SetRemainingItemCount(nil)
		}
	}
	views := []runtime.Object{}
	err = meta.EachListItem(stored, func(item runtime.Object) error {
		if object, ok := item.(S); ok && filter.Has(object.GetName(), object) {
			views = append(views, s.show(object))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", s.kind.Resource, err)
	}
	if err := meta.SetList(list, views); err != nil {
		return nil, fmt.Errorf("list %s: %w", s.kind.Resource, err)
	}
	return list, nil
}

// filter returns what the person sees.
func (s *Store[V, S, L]) filter(ctx context.Context) (Filter[S], error) {
	info, err := person(ctx)
	if err != nil {
		return Filter[S]{}, err
	}
	filter, err := s.kind.Sight.Filter(ctx, info)
	if err != nil {
		return Filter[S]{}, unavailable(err)
	}
	return filter, nil
}

// show returns the view of a custom resource.
func (s *Store[V, S, L]) show(stored S) V {
	view := s.kind.New()
	copyMeta(stored, view)
	view.SetManagedFields(renamed(stored.GetManagedFields(), s.kind.GroupVersion))
	s.kind.Show(stored, view)
	return view
}

func (s *Store[V, S, L]) nothing() S {
	var none S
	return none
}

func (s *Store[V, S, L]) resource() schema.GroupResource {
	return s.kind.GroupVersion.WithResource(s.kind.Resource).GroupResource()
}

func person(ctx context.Context) (user.Info, error) {
	info, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewInternalError(errors.New("the request has no user"))
	}
	return info, nil
}

// listOptions are those for the central cluster.
func listOptions(options *metainternalversion.ListOptions) (metav1.ListOptions, error) {
	var out metav1.ListOptions
	if options == nil {
		return out, nil
	}
	if err := metainternalversion.Convert_internalversion_ListOptions_To_v1_ListOptions(options, &out, nil); err != nil {
		return out, apierrors.NewBadRequest(err.Error())
	}
	out.TypeMeta = metav1.TypeMeta{}
	return out, nil
}

var (
	_ rest.Lister               = &Store[Object, Object, runtime.Object]{}
	_ rest.Patcher              = &Store[Object, Object, runtime.Object]{}
	_ rest.Creater              = &Store[Object, Object, runtime.Object]{}
	_ rest.Watcher              = &Store[Object, Object, runtime.Object]{}
	_ rest.GracefulDeleter      = &Store[Object, Object, runtime.Object]{}
	_ rest.Scoper               = &Store[Object, Object, runtime.Object]{}
	_ rest.SingularNameProvider = &Store[Object, Object, runtime.Object]{}
	_ rest.ShortNamesProvider   = &Store[Object, Object, runtime.Object]{}
	_ rest.CategoriesProvider   = &Store[Object, Object, runtime.Object]{}
)
