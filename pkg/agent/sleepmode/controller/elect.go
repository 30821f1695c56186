package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// LeaseName is the name of the Lease that the leader holds, in the agent's namespace.
const LeaseName = "loft-agent"

// Times of the election, as the cluster's own controllers have them.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// Elector has one replica lead.
type Elector struct {
	HostClient kubernetes.Interface
	// Namespace is where the Lease is.
	Namespace string
	// Identity is this replica's name, which no other has.
	Identity string

	// leading is held while this replica leads: a term that ends slowly delays the next.
	leading sync.Mutex
}

// Run runs lead whenever this replica leads, until ctx is done. Losing the lead ends lead's context
// and nothing else: the replica goes on serving requests.
func (e *Elector) Run(ctx context.Context, lead func(context.Context)) {
	for ctx.Err() == nil {
		if err := e.term(ctx, lead); err != nil {
			klog.ErrorS(err, "Nothing is put to sleep by this replica")
			return
		}
	}
}

// term stands for election, and leads once.
func (e *Elector) term(ctx context.Context, lead func(context.Context)) error {
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Name: LeaseName, Namespace: e.Namespace},
			Client:     e.HostClient.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: e.Identity},
		},
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		ReleaseOnCancel: true, Name: LeaseName,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				e.leading.Lock()
				defer e.leading.Unlock()
				klog.InfoS("This replica puts spaces to sleep and wakes them", "identity", e.Identity)
				lead(leading)
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("leader election: %w", err)
	}
	elector.Run(ctx)
	return nil
}
