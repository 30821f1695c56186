package view

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/gentype"

	"loft.sh/agent/pkg/manager/access"
)

// Object is what a view shows, and what it is of.
type Object interface {
	runtime.Object
	metav1.Object
}

// Kind says how a view V shows the custom resource S, whose lists are L.
type Kind[V, S Object, L runtime.Object] struct {
	// Resource is the plural name, the same of both; Singular is one object's.
	Resource, Singular string
	// ShortNames are for kubectl.
	ShortNames []string
	// Group and Version are the view's.
	GroupVersion schema.GroupVersion
	// Client reaches the custom resources.
	Client *gentype.ClientWithList[S, L]
	// New and NewList make empty views; NewStored makes an empty custom resource.
	New       func() V
	NewList   func() runtime.Object
	NewStored func() S
	// Show fills in all of a view but its metadata.
	Show func(stored S, view V)
	// Store fills in all that may be written of a custom resource, but its metadata.
	Store func(view V, stored S)
	// Validate checks what the custom resource's schema cannot. before is empty on creation. Nil:
	// there is nothing.
	Validate func(view, before V) field.ErrorList
	// Sight says what a person sees.
	Sight Sight[S]
	// Columns are what kubectl shows between the name and the age.
	Columns []Column[V]
}

// Sight says what a person sees.
type Sight[S any] interface {
	// Filter returns what info sees. The error says that it could not be found out.
	Filter(ctx context.Context, info user.Info) (Filter[S], error)
	// Sees says whether info sees one object.
	Sees(ctx context.Context, info user.Info, name string, stored S) (bool, error)
	// Changed is closed when something next changes that decides about it.
	Changed() <-chan struct{}
}

// Filter is what a person sees at a moment.
type Filter[S any] struct {
	// Names are the names of all that is seen.
	Names access.Set
	// Owner is a person's name where things are seen by whose they are; Owns says so of one.
	Owner string
	Owns  func(stored S, owner string) bool
}

// Has says whether an object is seen.
func (f Filter[S]) Has(name string, stored S) bool {
	return f.Names.Has(name) || f.Owner != "" && f.Owns(stored, f.Owner)
}

// Equal says whether both filters show the same.
func (f Filter[S]) Equal(other Filter[S]) bool {
	return f.Owner == other.Owner && f.Names.Equal(other.Names)
}

// Column is a column of what kubectl shows.
type Column[V any] struct {
	Name, Type, Description string
	Cell                    func(V) any
}
