package clusters

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/klog/v2"

	storagev1 "loft.sh/agent/apis/storage/v1"
	applyv1 "loft.sh/agent/generated/applyconfiguration/storage/v1"
	"loft.sh/agent/pkg/manager/bindings"
	"loft.sh/agent/pkg/manager/installer"
)

const (
	// boundDelay lets the clusters of one ClusterAccess be done together.
	boundDelay = time.Second
	// maxNamed bounds how many clusters a condition names.
	maxNamed = 5
)

// bound says of each ClusterAccess whether all of its clusters have its bindings. What is in which
// cluster is known from the last look at it, which a new leader takes first.
type bound struct {
	controller *Controller

	lock sync.Mutex
	// known is by cluster; due are names of ClusterAccess objects.
	known map[string]synced
	due   sets.Set[string]
	wake  chan struct{}
}

// synced is what a cluster's bindings were made of, and whether that failed.
type synced struct {
	generations map[string]int64
	failed      bool
}

func newBound(c *Controller) *bound {
	return &bound{controller: c, known: map[string]synced{}, due: sets.New[string](), wake: make(chan struct{}, 1)}
}

// synced notes that a cluster was looked at.
func (b *bound) synced(cluster string, accesses []*storagev1.ClusterAccess, err error) {
	now := synced{generations: map[string]int64{}, failed: err != nil}
	for _, access := range accesses {
		if bindings.Names(access, cluster) {
			now.generations[access.Name] = access.Generation
		}
	}
	b.lock.Lock()
	b.known[cluster] = now
	b.lock.Unlock()
	for name := range now.generations {
		b.look(name)
	}
}

func (b *bound) forget(cluster string) {
	b.lock.Lock()
	before := b.known[cluster]
	delete(b.known, cluster)
	b.lock.Unlock()
	for name := range before.generations {
		b.look(name)
	}
}

// look has a ClusterAccess looked at.
func (b *bound) look(access string) {
	b.lock.Lock()
	b.due.Insert(access)
	b.lock.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *bound) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		}
		select {
		case <-ctx.Done():
			return
		case <-b.controller.Clock.After(boundDelay):
		}
		b.lock.Lock()
		due := b.due
		b.due = sets.New[string]()
		b.lock.Unlock()
		for name := range due {
			if err := b.write(ctx, name); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "Status of a ClusterAccess not written, to be done again", "clusterAccess", name)
				b.look(name)
			}
		}
	}
}

// write writes the condition where it is another.
func (b *bound) write(ctx context.Context, name string) error {
	access, err := b.controller.Informers.ClusterAccesses().Lister().Get(name)
	if err != nil {
		return nil // it is gone
	}
	condition := b.judge(access)
	known := meta.FindStatusCondition(access.Status.Conditions, condition.Type)
	if known != nil && known.Status == condition.Status {
		condition.LastTransitionTime = known.LastTransitionTime
	}
	if known != nil && equality.Semantic.DeepEqual(*known, condition) && access.Status.ObservedGeneration == access.Generation {
		return nil
	}
	_, err = b.controller.Storage.ClusterAccesses().ApplyStatus(ctx, applyv1.ClusterAccess(name).WithUID(access.UID).
		WithStatus(applyv1.ClusterAccessStatus().WithObservedGeneration(access.Generation).WithConditions(applymetav1.Condition().
			WithType(condition.Type).WithStatus(condition.Status).WithReason(condition.Reason).WithMessage(condition.Message).
			WithObservedGeneration(condition.ObservedGeneration).WithLastTransitionTime(condition.LastTransitionTime))),
		metav1.ApplyOptions{FieldManager: installer.FieldManager, Force: true})
	return err
}

// judge says whether the clusters of an access have its bindings.
func (b *bound) judge(access *storagev1.ClusterAccess) metav1.Condition {
	var missing []string
	there := sets.New[string]()
	b.lock.Lock()
	for _, cluster := range b.controller.clusters() {
		there.Insert(cluster.Name)
		if !bindings.Names(access, cluster.Name) {
			continue
		}
		known, looked := b.known[cluster.Name]
		if (!looked && !wasBound(access)) || (looked && (known.failed || known.generations[access.Name] != access.Generation)) {
			missing = append(missing, cluster.Name)
		}
	}
	b.lock.Unlock()
	for _, name := range access.Spec.Clusters {
		if name != storagev1.Everything && !there.Has(name) {
			missing = append(missing, name)
		}
	}
	condition := metav1.Condition{
		Type: storagev1.ConditionBound, Status: metav1.ConditionTrue, Reason: "Bound", Message: "every cluster that it names has its bindings",
		ObservedGeneration: access.Generation, LastTransitionTime: metav1.NewTime(b.controller.Clock.Now()).Rfc3339Copy(),
	}
	if len(missing) > 0 {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, "ClustersMissing", missingMessage(missing)
	}
	return condition
}

// wasBound is what counts of a cluster that was not looked at yet by this manager.
func wasBound(access *storagev1.ClusterAccess) bool {
	condition := meta.FindStatusCondition(access.Status.Conditions, storagev1.ConditionBound)
	return condition != nil && condition.Status == metav1.ConditionTrue && condition.ObservedGeneration == access.Generation
}

func missingMessage(missing []string) string {
	slices.Sort(missing)
	named := missing[:min(maxNamed, len(missing))]
	message := fmt.Sprintf("not, or not yet, in %d clusters: %q", len(missing), named)
	if more := len(missing) - len(named); more > 0 {
		message += fmt.Sprintf(" and %d more", more)
	}
	return message + "; their condition AccessSynced says why"
}
