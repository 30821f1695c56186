package controller

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/activity"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
	"loft.sh/agent/pkg/agent/sleepmode/decision"
)

// reconcile goes through a namespace. It returns when to do so again; 0: on a change.
func (c *Controller) reconcile(ctx context.Context, name string) (time.Duration, error) {
	namespace, err := c.lister.Get(name)
	if apierrors.IsNotFound(err) {
		c.forget(name)
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if namespace.DeletionTimestamp != nil || !annotations.Configured(namespace.Annotations) {
		c.forget(name)
		return 0, nil
	}
	again, err := c.follow(ctx, namespace)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		// Somebody was faster: the change comes, and is a reason to look again.
		return time.Second, nil
	}
	return again, err
}

// subject is a namespace with what is wrong with its annotations.
type subject struct {
	decision.Subject
	schedules decision.Schedules
	faults    []*annotations.Error
}

func (c *Controller) read(namespace *corev1.Namespace) subject {
	state, stateErr := annotations.ReadNamespace(namespace.Annotations)
	schedules, schedulesErr := decision.ParseSchedules(state)
	_, rulesErr := activity.Compile(namespace.Annotations)
	s := subject{schedules: schedules, faults: annotations.Errors(errors.Join(stateErr, schedulesErr, rulesErr))}
	s.Subject = decision.Subject{Namespace: state, Now: c.Clock.Now(), Created: namespace.CreationTimestamp.Time}
	s.DeletionSeenFor = c.sight(namespace, s)
	return s
}

// follow decides about a namespace, does what was decided, and goes on with what was begun.
func (c *Controller) follow(ctx context.Context, namespace *corev1.Namespace) (time.Duration, error) {
	s := c.read(namespace)
	if c.protects(namespace) {
		_, err := c.write(ctx, namespace, s.protected(), annotations.Change{})
		return 0, err
	}
	v := decision.Decide(s.Subject, s.schedules)
	if len(s.faults) > 0 && v.Action != decision.Wake {
		// Nothing is put to sleep or deleted by what may be a typing error.
		v = decision.Verdict{State: s.Namespace}
	}
	v.State.Status.Conditions = configured(s.Status.Conditions, s.faults, s.Now)
	c.tellFaults(namespace, s, v.State)
	if v.Action == decision.Delete {
		return 0, c.delete(ctx, namespace, v)
	}
	namespace, err := c.write(ctx, namespace, v.State, unforced(v))
	if err != nil {
		return 0, err
	}
	c.tell(namespace, v)
	done, err := c.carryOn(ctx, namespace, v)
	if err != nil {
		return 0, err
	}
	if !done {
		return retry, nil
	}
	return until(v.Next, s.Now), nil
}

// retry is when a pass that could not do everything is repeated.
const retry = 15 * time.Second

func until(next, now time.Time) time.Duration {
	if next.IsZero() {
		return period
	}
	return max(next.Sub(now), time.Millisecond)
}

// sight returns for how long it has been known that a namespace is to be deleted.
func (c *Controller) sight(namespace *corev1.Namespace, s subject) time.Duration {
	c.lock.Lock()
	defer c.lock.Unlock()
	if !decision.DeletionDue(s.Namespace, s.Now) || len(s.faults) > 0 {
		delete(c.sightings, namespace.UID)
		return 0
	}
	since, found := c.sightings[namespace.UID]
	if !found {
		since = c.Uptime()
		c.sightings[namespace.UID] = since
	}
	return c.Uptime() - since
}

// protected is a namespace that nothing is done to, whatever its annotations say.
func (s subject) protected() annotations.Namespace {
	n := s.Namespace
	n.Status.Conditions = setCondition(n.Status.Conditions, clusterv1.ConditionConfigured, "Protected",
		"the cluster's own namespaces and the agent's are never put to sleep or deleted", s.Now)
	return n
}
