package target

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
)

// The namespaces of the objects, and the one that is asked for alone. NamespaceWrite is for objects that
// come and go, NamespaceWatch for those that change.
const (
	NamespaceSmall  = "bench-small"
	NamespaceMedium = "bench-medium"
	NamespaceLarge  = "bench-large"
	NamespaceWrite  = "bench-write"
	NamespaceWatch  = "bench-watch"
	SmallName       = "small"
	// WatchName is the object that changes; other names in NamespaceWatch stay free.
	WatchName = "watched"
)

// batch is a number of ConfigMaps with so many bytes of data each.
type batch struct {
	namespace    string
	count, bytes int
}

// seed makes the objects: one alone, 500 of 1 KiB, 20 MB.
func (e *Env) seed(ctx context.Context) error {
	for _, b := range []batch{
		{NamespaceSmall, 1, 64}, {NamespaceMedium, 500, 1 << 10}, {NamespaceLarge, 400, 50 << 10},
		{NamespaceWrite, 0, 0}, {NamespaceWatch, 0, 0},
	} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace}}
		if _, err := e.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("namespace %q: %w", b.namespace, err)
		}
		if err := e.fill(ctx, b); err != nil {
			return err
		}
	}
	return e.create(ctx, NamespaceWatch, WatchName, 64)
}

func (e *Env) fill(ctx context.Context, b batch) error {
	errs := make([]error, b.count)
	workqueue.ParallelizeUntil(ctx, 8, b.count, func(i int) {
		name := SmallName
		if b.count > 1 {
			name = fmt.Sprintf("object-%03d", i)
		}
		errs[i] = e.create(ctx, b.namespace, name, b.bytes)
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (e *Env) create(ctx context.Context, namespace, name string, size int) error {
	object := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Data:       map[string]string{"data": strings.Repeat("0123456789abcdef", size/16)},
	}
	if _, err := e.client.CoreV1().ConfigMaps(namespace).Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("ConfigMap %s/%s: %w", namespace, name, err)
	}
	return nil
}
