package apiserver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"loft.sh/agent/test/chaos"
)

// writer changes objects directly in the cluster for as long as it runs.
type writer struct {
	stop func()
}

// startWriter creates, changes and deletes ConfigMaps, 20 changes a second when they succeed.
func startWriter(ctx context.Context, admin kubernetes.Interface, namespace string) *writer {
	ctx, cancel := context.WithCancel(ctx)
	var loop sync.WaitGroup
	configMaps := admin.CoreV1().ConfigMaps(namespace)
	name := func(i int) string { return fmt.Sprintf("changing-%d", i) }
	loop.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name(i)}, Data: map[string]string{"n": "1"}}
			// What fails while the API server is away is left as it is.
			if _, err := configMaps.Create(ctx, object, metav1.CreateOptions{}); err == nil {
				object.Data["n"] = "2"
				_, _ = configMaps.Update(ctx, object, metav1.UpdateOptions{})
			}
			if i%2 == 0 {
				_ = configMaps.Delete(ctx, name(i/2), metav1.DeleteOptions{})
			}
			chaos.Sleep(ctx, 100*time.Millisecond)
		}
	})
	return &writer{stop: func() { cancel(); loop.Wait() }}
}

// informerSet is informers through the endpoint, and one directly at the API server.
type informerSet struct {
	through []cache.SharedIndexInformer
	direct  cache.SharedIndexInformer
	stop    func()
}

func startInformers(ctx context.Context, env *chaos.Env, config *rest.Config, namespace string, count int) (*informerSet, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &informerSet{}
	var factories []informers.SharedInformerFactory
	s.stop = func() {
		cancel()
		for _, factory := range factories {
			factory.Shutdown()
		}
	}
	start := func(client kubernetes.Interface) cache.SharedIndexInformer {
		factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
		informer := factory.Core().V1().ConfigMaps().Informer()
		factory.StartWithContext(ctx)
		factories = append(factories, factory)
		return informer
	}
	s.direct = start(env.Admin())
	for range count {
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			s.stop()
			return nil, fmt.Errorf("client through the endpoint: %w", err)
		}
		s.through = append(s.through, start(client))
	}
	_, err := chaos.Await(ctx, "informers to know the objects", time.Minute, func(context.Context) bool {
		for _, informer := range append(s.through, s.direct) {
			if !informer.HasSynced() {
				return false
			}
		}
		return true
	})
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *informerSet) objects() int { return len(s.direct.GetStore().List()) }

// agree waits until every informer through the endpoint holds what the direct one does.
func (s *informerSet) agree(ctx context.Context, bound time.Duration) (time.Duration, error) {
	var diff string
	took, err := chaos.Await(ctx, "informers to agree", bound, func(context.Context) bool {
		want := versions(s.direct)
		for _, informer := range s.through {
			if diff = cmp.Diff(want, versions(informer)); diff != "" {
				return false
			}
		}
		return true
	})
	if err != nil {
		return took, errors.Join(err, errors.New("they differ (-direct +through the endpoint):\n"+diff))
	}
	return took, nil
}

// versions of the objects by name.
func versions(informer cache.SharedIndexInformer) map[string]string {
	found := map[string]string{}
	for _, object := range informer.GetStore().List() {
		if configMap, ok := object.(*corev1.ConfigMap); ok {
			found[configMap.Name] = configMap.ResourceVersion
		}
	}
	return found
}
