package clusters

import (
	"context"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/endpoint"
	"loft.sh/agent/pkg/manager/clusterstatus"
	"loft.sh/agent/pkg/manager/hosts"
	"loft.sh/agent/pkg/manager/lanes"
	"loft.sh/agent/pkg/manager/prober"
)

// ReasonAnnotationInvalid stands where the annotations give no endpoint.
const ReasonAnnotationInvalid = "AnnotationInvalid"

// latencyStep is what a latency must differ by to be written again, at least; and by a half.
const latencyStep = 20 * time.Millisecond

// syncEndpoint asks one cluster's endpoint, if there is one.
func (c *Controller) syncEndpoint(ctx context.Context, name string) (lanes.Result, error) {
	cluster := c.cluster(name)
	if cluster == nil || cluster.DeletionTimestamp != nil {
		return lanes.Result{}, nil
	}
	wanted := c.status.Mine(cluster, clusterstatus.Endpoint)
	annotated, errs := endpoint.Parse(cluster.Annotations)
	switch {
	case len(errs) > 0:
		c.probed(wanted, cluster.Annotations[storagev1.AnnotationDirectEndpoint], invalid(errs))
		return c.report(ctx, cluster, clusterstatus.Endpoint, wanted, lanes.Result{}, nil)
	case annotated == nil:
		return c.report(ctx, cluster, clusterstatus.Endpoint, &storagev1.ClusterStatus{}, lanes.Result{}, nil)
	}
	result := c.probe(ctx, cluster, annotated)
	c.probed(wanted, annotated.URL, result)
	dead := !result.Reachable && !result.Unknown
	return c.report(ctx, cluster, clusterstatus.Endpoint, wanted, lanes.Result{Again: c.ProbePeriod, Dead: dead}, nil)
}

func (c *Controller) probe(ctx context.Context, cluster *storagev1.Cluster, annotated *endpoint.Endpoint) prober.Result {
	var reviewer prober.Reviewer
	uid := ""
	// A cluster that was not reached is none of the endpoint's faults; asking it again is other work's.
	if host, err := c.hosts.Reach(ctx, cluster, 2*c.ResyncPeriod); err == nil {
		reviewer, uid = tokenReviewer{host}, host.UID
	}
	result := c.prober.Probe(ctx, annotated, uid, reviewer)
	observeProbe(result)
	return result
}

func invalid(errs field.ErrorList) prober.Result {
	return prober.Result{Reason: ReasonAnnotationInvalid, Message: errs.ToAggregate().Error()}
}

// probed puts what was found into a status. The time changes with the answer alone, and the latency
// only where it is clearly another, so that a status is not written with each probe.
func (c *Controller) probed(wanted *storagev1.ClusterStatus, url string, found prober.Result) {
	before := wanted.Endpoint
	next := &storagev1.ClusterEndpointStatus{URL: url, Reachable: found.Reachable, LatencyMilliseconds: found.Latency.Milliseconds()}
	if !found.Reachable {
		next.Reason = found.Reason
	}
	if before != nil && before.URL == next.URL && before.Reachable == next.Reachable && before.Reason == next.Reason {
		next.LastProbeTime = before.LastProbeTime
		if sameLatency(before.LatencyMilliseconds, next.LatencyMilliseconds) {
			next.LatencyMilliseconds = before.LatencyMilliseconds
		}
	}
	if next.LastProbeTime == nil {
		now := metav1.NewTime(c.Clock.Now()).Rfc3339Copy()
		next.LastProbeTime = &now
	}
	wanted.Endpoint = next
	status := metav1.ConditionFalse
	switch {
	case found.Reachable:
		status = metav1.ConditionTrue
	case found.Unknown:
		status = metav1.ConditionUnknown
	}
	clusterstatus.Set(wanted, storagev1.ConditionDirectEndpointReachable, status, found.Reason, found.Message)
}

func sameLatency(before, after int64) bool {
	if (before == 0) != (after == 0) {
		return false
	}
	difference := max(before-after, after-before)
	return difference < latencyStep.Milliseconds() || difference < before/2
}

// endpointIsDead says by its status whether a cluster's endpoint was not reached last.
func endpointIsDead(cluster *storagev1.Cluster) bool {
	return cluster.Status.Endpoint != nil && !cluster.Status.Endpoint.Reachable
}

var tokenReviews = authenticationv1.SchemeGroupVersion.WithResource("tokenreviews")

// tokenReviewer has a connected cluster judge tokens.
type tokenReviewer struct{ host *hosts.Host }

// Review implements prober.Reviewer.
func (r tokenReviewer) Review(ctx context.Context, token, audience string) (string, error) {
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": authenticationv1.SchemeGroupVersion.String(), "kind": "TokenReview", "metadata": map[string]any{},
		"spec": map[string]any{"token": token, "audiences": []any{audience}},
	}}
	answer, err := r.host.Client.Resource(tokenReviews).Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	var reviewed authenticationv1.TokenReview
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(answer.Object, &reviewed); err != nil {
		return "", err
	}
	// An API server that knows nothing of audiences says none: it is not known then for whom the token is.
	if !reviewed.Status.Authenticated || len(reviewed.Status.Audiences) != 1 || reviewed.Status.Audiences[0] != audience {
		return "", nil
	}
	return reviewed.Status.User.Username, nil
}
