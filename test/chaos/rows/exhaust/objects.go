package exhaust

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/test/chaos"
)

// objectSize is the bytes of data in a large object; etcd takes 1.5 MiB.
const objectSize = 500 << 10

// largeObjects makes a namespace whose ConfigMaps hold about megabytes, and returns the path of
// their list.
func (s *stage) largeObjects(ctx context.Context, megabytes int) (string, error) {
	namespace, err := s.Namespace(ctx)
	if err != nil {
		return "", err
	}
	configMaps := s.Admin().CoreV1().ConfigMaps(namespace)
	// What no compression on the way makes small.
	var noise strings.Builder
	for noise.Len() < objectSize {
		fmt.Fprintf(&noise, "%016x", rand.Uint64())
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i := range megabytes * 1_000_000 / objectSize {
		group.Go(func() error {
			object := &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("large-%d", i)},
				Data:       map[string]string{"noise": noise.String()},
			}
			_, err := configMaps.Create(ctx, object, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return "", fmt.Errorf("make %d MB of objects: %w", megabytes, err)
	}
	return "/api/v1/namespaces/" + namespace + "/configmaps", nil
}

// runPod makes a pod and waits until it runs.
func (s *stage) runPod(ctx context.Context, namespace, name string) error {
	pods := s.Admin().CoreV1().Pods(namespace)
	object := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none", Stdin: true}}},
	}
	if _, err := pods.Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("pod %q: %w", name, err)
	}
	_, err := chaos.Await(ctx, "pod "+name, time.Minute, func(ctx context.Context) bool {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		return err == nil && pod.Status.Phase == corev1.PodRunning
	})
	return err
}
