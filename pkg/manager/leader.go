package manager

import (
	"context"
	"fmt"
	"os"
	"sync"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	componentconfig "k8s.io/component-base/config"
	"k8s.io/klog/v2"
)

// leader runs what one manager at a time does. Every manager serves, the leader or not.
type leader struct {
	config componentconfig.LeaderElectionConfiguration
	client kubernetes.Interface
	// controllers run until their context is done.
	controllers map[string]func(context.Context)
}

// run campaigns until ctx is done, again and again: a manager that lost the lease goes on serving.
func (l *leader) run(ctx context.Context) {
	if !l.config.LeaderElect {
		l.lead(ctx)
		return
	}
	for ctx.Err() == nil {
		if err := l.campaign(ctx); err != nil {
			klog.ErrorS(err, "Controllers are not run here")
			return
		}
	}
}

// campaign runs the controllers while the lease is held. They have ended before the lease is given up:
// who comes next must not find them running.
func (l *leader) campaign(ctx context.Context) error {
	acquired := make(chan context.Context, 1)
	elector, err := l.elector(func(held context.Context) { acquired <- held })
	if err != nil {
		return fmt.Errorf("leader election: %w", err)
	}
	running, release := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		elector.Run(running)
	}()
	select {
	case <-ctx.Done():
	case <-ended:
	case held := <-acquired:
		leading, stop := context.WithCancel(held)
		context.AfterFunc(ctx, stop)
		l.lead(leading)
		stop()
	}
	release()
	<-ended
	return nil
}

func (l *leader) elector(started func(context.Context)) (*leaderelection.LeaderElector, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("host name: %w", err)
	}
	c := l.config
	lock, err := resourcelock.New(c.ResourceLock, c.ResourceNamespace, c.ResourceName, l.client.CoreV1(), l.client.CoordinationV1(),
		// Two managers may run on one host.
		resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())})
	if err != nil {
		return nil, err
	}
	lease := klog.KRef(c.ResourceNamespace, c.ResourceName)
	return leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, Name: c.ResourceName, ReleaseOnCancel: true,
		LeaseDuration: c.LeaseDuration.Duration, RenewDeadline: c.RenewDeadline.Duration, RetryPeriod: c.RetryPeriod.Duration,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				klog.InfoS("Leading", "lease", lease)
				started(ctx)
			},
			OnStoppedLeading: func() { klog.InfoS("Not leading", "lease", lease) },
		},
	})
}

// lead runs the controllers until ctx is done and they have ended.
func (l *leader) lead(ctx context.Context) {
	var running sync.WaitGroup
	for name, controller := range l.controllers {
		running.Go(func() {
			klog.V(2).InfoS("Controller started", "controller", name)
			controller(ctx)
		})
	}
	running.Wait()
}
