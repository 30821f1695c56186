package tokens

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/tokens/issued"
)

const (
	// settleDelay lets caches catch up that the API server feeds one after the other: a token of a user
	// who was made a moment ago must not look like that of one who was deleted.
	settleDelay = 150 * time.Millisecond
	// leaderPeriod is how often records are looked through for what time alone has changed.
	leaderPeriod = 10 * time.Second
	// leaderWorkers write at the same time.
	leaderWorkers = 8
)

// leader writes down what is revoked for good, and takes away what is over.
type leader struct {
	directory *access.Directory
	watcher   *issued.Watcher
	store     *issued.Store
	clock     clock.Clock
	due       signal
}

func (l *leader) run(ctx context.Context) {
	for {
		l.look(ctx)
		if !l.due.await(ctx, l.clock, settleDelay, l.clock.After(leaderPeriod)) {
			return
		}
	}
}

func (l *leader) look(ctx context.Context) {
	l.report(ctx, l.tidyRevoked(ctx))
	records, err := l.watcher.Records()
	l.report(ctx, err)
	owners := newOwners(l.directory, l.clock.Now())
	workqueue.ParallelizeUntil(ctx, leaderWorkers, len(records), func(i int) {
		l.report(ctx, l.settle(ctx, records[i], owners))
	})
}

// report logs what is tried again, but for what somebody else has done in the meantime.
func (l *leader) report(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil || apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err) {
		return
	}
	klog.FromContext(ctx).Error(err, "Issued tokens cannot be maintained, will try again")
}

func (l *leader) settle(ctx context.Context, stored issued.Stored, owners *owners) error {
	now := l.clock.Now()
	if stored.Err != nil {
		klog.FromContext(ctx).Error(stored.Err, "A record of issued tokens cannot be read, all of them until now are revoked", "subject", stored.Subject)
		return l.store.Put(ctx, stored.Revoked(now))
	}
	settled, changed, ended := stored.Settle(owners.of(stored.Subject), now)
	switch {
	case ended:
		return l.store.Delete(ctx, stored)
	case changed:
		if settled.Cutoff != stored.Cutoff {
			klog.FromContext(ctx).Info("Direct endpoint tokens revoked", "subject", stored.Subject, "issuedBefore", settled.Cutoff)
		}
		stored.Record = settled
		return l.store.Put(ctx, stored)
	}
	return nil
}

func (l *leader) tidyRevoked(ctx context.Context) error {
	configMap, err := l.watcher.Revoked()
	switch {
	case err != nil:
		return err
	case configMap == nil:
		return l.store.EnsureRevoked(ctx)
	}
	return l.store.TidyRevoked(ctx, configMap)
}
