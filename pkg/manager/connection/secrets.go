package connection

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// Secrets reads Secrets of the manager's own namespace from lister, whose informer has them all, and
// those of other namespaces, which it may not list, from the API server each time.
func Secrets(lister corelisters.SecretLister, centralClient corev1client.SecretsGetter, namespace string) SecretGetter {
	return func(ctx context.Context, in, name string) (*corev1.Secret, error) {
		if in == namespace {
			return lister.Secrets(in).Get(name)
		}
		return centralClient.Secrets(in).Get(ctx, name, metav1.GetOptions{})
	}
}
