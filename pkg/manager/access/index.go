package access

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

func indexSubject(object any) ([]string, error) {
	if u, ok := object.(*storagev1.User); ok && u.Spec.Subject != "" {
		return []string{u.Spec.Subject}, nil
	}
	return nil, nil
}

func indexKey(object any) ([]string, error) {
	if key, ok := object.(*storagev1.AccessKey); ok && key.Spec.Key != "" {
		return []string{key.Spec.Key}, nil
	}
	return nil, nil
}

func generation(object any) int64 {
	if o, ok := object.(metav1.Object); ok {
		return o.GetGeneration()
	}
	return 0
}

func compare(a, b string) int { return strings.Compare(a, b) }
