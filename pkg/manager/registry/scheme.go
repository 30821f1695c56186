// Package registry puts together the API group management.loft.sh: which storage serves which
// resource, and the scheme that the server encodes with. Each resource has a package below; most are
// views (package view) of custom resources.
package registry

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"loft.sh/agent/apis/management/install"
	managementv1 "loft.sh/agent/apis/management/v1"
)

// Scheme returns a new scheme with all that the manager's API server encodes and decodes, and the
// codecs for it. It panics only if two types were given one name, which is a fault in the code that no
// input can cause.
func Scheme() (*runtime.Scheme, serializer.CodecFactory) {
	scheme := runtime.NewScheme()
	utilruntime.Must(install.Install(scheme))
	addMetaTypes(scheme)
	return scheme, serializer.NewCodecFactory(scheme)
}

// Documented returns a scheme with the versioned types alone, which is what OpenAPI names: the
// internal version that Scheme has, too, is nobody's business.
func Documented() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(managementv1.AddToScheme(scheme))
	return scheme
}

// addMetaTypes registers what the generic API server answers with under the version "v1" of no group:
// errors and discovery, and the options of a request.
func addMetaTypes(scheme *runtime.Scheme) {
	v1 := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(scheme, v1)
	scheme.AddUnversionedTypes(v1,
		&metav1.Status{},
		&metav1.APIVersions{},
		&metav1.APIGroupList{},
		&metav1.APIGroup{},
		&metav1.APIResourceList{},
	)
}
