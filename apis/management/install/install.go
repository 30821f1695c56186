// Package install registers the API group management.loft.sh with a scheme.
//
// What surprises: there is no internal version. v1 is registered under the internal version too,
// so that the generic API server keeps objects in memory as what it sends.
package install

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	managementv1 "loft.sh/agent/apis/management/v1"
)

// Install registers the group with scheme.
func Install(scheme *runtime.Scheme) error {
	if err := managementv1.AddToScheme(scheme); err != nil {
		return err
	}
	scheme.AddKnownTypes(schema.GroupVersion{Group: managementv1.GroupName, Version: runtime.APIVersionInternal}, managementv1.KnownTypes()...)
	return scheme.SetVersionPriority(managementv1.SchemeGroupVersion)
}
