package exhaust

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/hostile"
)

// goneWatches holds watches over both protocols; half of them see an event a second after their
// client is gone, since a connection on which something is written is given up by other means than
// an idle one.
func goneWatches(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	s, err := newStage(ctx, env)
	if err != nil {
		return nil, err
	}
	idle, err := s.Namespace(ctx)
	if err != nil {
		return nil, err
	}
	busy, err := s.Namespace(ctx)
	if err != nil {
		return nil, err
	}
	// What the agent builds once is not to be counted.
	warm, err := s.watches(ctx, 8, idle, busy)
	if err != nil {
		return nil, err
	}
	warm.Abort()
	s.quiet(ctx)
	before, err := s.baseline(ctx)
	if err != nil {
		return nil, err
	}
	gone, err := s.watches(ctx, env.Count(1000, 100), idle, busy)
	if err != nil {
		return nil, err
	}
	defer gone.Abort()
	during, err := s.settled(ctx, "heap-during")
	if err != nil {
		return nil, err
	}
	if err := gone.Silence(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := make(chan error, 1)
	go func() { events <- s.events(ctx, busy) }()
	err = s.back(ctx, before, during)
	cancel()
	if failed := <-events; failed != nil {
		return nil, failed
	}
	return s.result, err
}

// watches opens count watches, as many over each protocol and in each namespace.
func (s *stage) watches(ctx context.Context, count int, namespaces ...string) (hostile.Crowd, error) {
	var all hostile.Crowd
	share := count / 2 / len(namespaces)
	for _, protocol := range []string{hostile.HTTP1, hostile.HTTP2} {
		for _, namespace := range namespaces {
			crowd, err := s.target.Watches(ctx, protocol, "/api/v1/namespaces/"+namespace+"/configmaps?watch=true", share)
			if err != nil {
				all.Abort()
				return nil, err
			}
			all = append(all, crowd...)
		}
	}
	return all, nil
}

// events changes something in a namespace every second until ctx is done.
func (s *stage) events(ctx context.Context, namespace string) error {
	configMaps := s.Admin().CoreV1().ConfigMaps(namespace)
	for i := 0; ctx.Err() == nil; i++ {
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("event-%d", i)}}
		if _, err := configMaps.Create(ctx, object, metav1.CreateOptions{}); err != nil && ctx.Err() == nil {
			return fmt.Errorf("event in %q: %w", namespace, err)
		}
		chaos.Sleep(ctx, time.Second)
	}
	return nil
}

// killedExecs kills clients whose commands run and wait for input.
func killedExecs(ctx context.Context, env *chaos.Env) (*chaos.Result, error) {
	s, err := newStage(ctx, env)
	if err != nil {
		return nil, err
	}
	namespace, err := s.Namespace(ctx)
	if err != nil {
		return nil, err
	}
	const pod = "shell"
	if err := s.runPod(ctx, namespace, pod); err != nil {
		return nil, err
	}
	warm, err := s.target.Execs(ctx, namespace, pod, 4)
	if err != nil {
		return nil, err
	}
	warm.Kill()
	s.quiet(ctx)
	before, err := s.baseline(ctx)
	if err != nil {
		return nil, err
	}
	killed, err := s.target.Execs(ctx, namespace, pod, env.Count(1000, 50))
	if err != nil {
		return nil, err
	}
	during, err := s.settled(ctx, "heap-during")
	if err != nil {
		killed.Kill()
		return nil, err
	}
	killed.Kill()
	return s.result, s.back(ctx, before, during)
}
