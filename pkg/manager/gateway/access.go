package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/klog/v2"

	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/proxy/streams"
	"loft.sh/agent/pkg/statuserr"
)

const (
	// askPeriod is how often everything is asked anew. The directory says when something changes in
	// it, and the central cluster's RBAC does not.
	askPeriod = 3 * time.Second
	// askTimeout bounds the question about an open stream, and askPause is how long nobody asks after
	// one that got no answer: one loop asks about all streams.
	askTimeout = time.Second
	askPause   = 5 * time.Second

	// clusterAnnotation is the cluster, in the manager's audit log; the rest is the inner request.
	clusterAnnotation = "management.loft.sh/cluster"
)

// keeper decides who may use which cluster. It implements door.Access.
type keeper struct {
	policy    *access.Policy
	upstreams *upstreams
	// verdicts are those of the moment; whatever changes brings new ones.
	verdicts atomic.Pointer[verdicts]
	// paused is until when RBAC is not asked about open streams, in Unix nanoseconds.
	paused atomic.Int64
}

func newKeeper(policy *access.Policy, upstreams *upstreams) *keeper {
	k := &keeper{policy: policy, upstreams: upstreams}
	k.verdicts.Store(newVerdicts())
	return k
}

// run forgets verdicts when something changes, until ctx is done.
func (k *keeper) run(ctx context.Context) {
	ticker := time.NewTicker(askPeriod)
	defer ticker.Stop()
	changed := k.policy.Changed()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			changed = k.policy.Changed()
		case <-ticker.C:
		}
		k.forget()
	}
}

// forget makes all verdicts anew, and has open streams asked about.
func (k *keeper) forget() { close(k.verdicts.Swap(newVerdicts()).over) }

// Changed implements door.Access.
func (k *keeper) Changed() <-chan struct{} { return k.verdicts.Load().over }

// Permit implements door.Access.
func (k *keeper) Permit(r *http.Request, caller *door.Caller, target *door.Target) error {
	audit.AddAuditAnnotation(r.Context(), clusterAnnotation, target.Cluster)
	if !k.upstreams.ready() {
		return statuserr.Unavailable("the manager has not read yet which clusters there are", retryAfterSeconds)
	}
	v, err := k.verdict(r.Context(), caller, target.Cluster)
	if err != nil {
		klog.FromContext(r.Context()).Error(err, "Access to a cluster not checked", "cluster", target.Cluster,
			"auditID", audit.GetAuditIDTruncated(r.Context()))
		return statuserr.Unavailable("the permission to use the cluster cannot be checked at the moment", retryAfterSeconds)
	}
	connected := k.upstreams.get(target.Cluster)
	refused := v.refusal(target)
	if refused == "" && connected == nil {
		refused = mayNotUse(target.Cluster)
	}
	switch {
	case refused != "":
		return forbidden(caller, target, refused)
	case target.Forwarder == nil:
		return unreachable(target.Cluster, connected.problem)
	case target.Virtual == nil && doors.Below(target.URL.Path, agentPath):
		return apierrors.NewBadRequest("the gateway leads through " + agentPath + " already; leave that out of the path")
	}
	if !connected.silence.mayTry(time.Now()) {
		return statuserr.Unavailable(connected.forwarder.Host+" cannot be reached: it was silent a moment ago", retryAfterSeconds)
	}
	return nil
}

// Still implements door.Access. What cannot be asked at the moment is no reason to end a stream.
func (k *keeper) Still(caller *door.Caller, target *door.Target) *streams.End {
	connected := k.upstreams.get(target.Cluster)
	if connected != nil && connected.forwarder != target.Forwarder {
		return &streams.End{
			Code: http.StatusServiceUnavailable, Reason: metav1.StatusReasonServiceUnavailable, GoingAway: true,
			Message: "the manager's connection to the cluster was set up anew; repeat the command",
		}
	}
	if time.Now().UnixNano() < k.paused.Load() {
		return nil
	}
	v := k.current(caller, target.Cluster)
	if v == nil {
		return nil
	}
	switch refused := v.refusal(target); {
	case v.unknown != nil:
		return unauthorizedEnd(v.unknown)
	case refused != "":
		return forbiddenEnd(refused)
	case connected == nil:
		return forbiddenEnd(mayNotUse(target.Cluster))
	case !v.inTeams(caller.User.GetGroups()):
		return unauthorizedEnd(errTeams)
	}
	return nil
}

// current is the verdict about an open stream; nil: it cannot be found out at the moment.
func (k *keeper) current(caller *door.Caller, cluster string) *verdict {
	if known, _, _ := k.known(caller, cluster); known != nil {
		return known
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	v, err := k.verdict(ctx, caller, cluster)
	if err != nil {
		klog.ErrorS(err, "Access of an open stream not checked", "cluster", cluster)
		k.paused.Store(time.Now().Add(askPause).UnixNano())
	}
	return v
}

var errTeams = errors.New("the teams of the person who opened this stream have changed")

// unauthorizedEnd begins with the API server's own word, which clients look for.
func unauthorizedEnd(why error) *streams.End {
	return &streams.End{
		Code: http.StatusUnauthorized, Reason: metav1.StatusReasonUnauthorized, Err: why,
		Message: fmt.Sprintf("Unauthorized: %v; log in again, then repeat the command", why),
	}
}

func forbiddenEnd(why string) *streams.End {
	return &streams.End{Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: "Forbidden: you " + why}
}

// mayNotUse says the same of a cluster that does not exist: nobody learns of clusters of others.
func mayNotUse(cluster string) string {
	return fmt.Sprintf("cannot use cluster %q: it does not exist, or the permission to use it is missing", cluster)
}

func forbidden(caller *door.Caller, target *door.Target, why string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden,
		Message: fmt.Sprintf("user %q %s", caller.User.GetName(), why),
		Details: &metav1.StatusDetails{Group: "management.loft.sh", Kind: "clusters", Name: target.Cluster},
	}}
}

func unreachable(cluster, problem string) error {
	return statuserr.Unavailable(fmt.Sprintf("the manager has no connection to cluster %q: %s", cluster, problem), retryAfterSeconds)
}
