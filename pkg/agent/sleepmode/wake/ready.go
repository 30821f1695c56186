package wake

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/utils/ptr"
)

var (
	waited = metrics.NewHistogram(&metrics.HistogramOpts{
		Namespace: "loft_agent", Subsystem: "sleep_mode", Name: "request_wait_seconds",
		Help:           "Time that requests waited for a namespace that was asleep.",
		Buckets:        []float64{.1, .25, .5, 1, 2, 5, 10, 20, 30, 60, 120},
		StabilityLevel: metrics.ALPHA,
	})
	gaveUp = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "loft_agent", Subsystem: "sleep_mode", Name: "request_wait_timeouts_total",
		Help:           "Requests that waited in vain for a namespace that was asleep.",
		StabilityLevel: metrics.ALPHA,
	})
)

func init() { legacyregistry.MustRegister(waited, gaveUp) }

// readiness is how far something is.
type readiness int

const (
	unready readiness = iota
	ready
	// absent is what doesn't exist; it may be about to be made.
	absent
)

// ready finds out how far what i needs is.
func (g *Gate) ready(ctx context.Context, i *request.RequestInfo) (readiness, error) {
	name := i.Name
	if i.Subresource == "proxy" {
		if _, bare, _, valid := utilnet.SplitSchemeNamePort(name); valid {
			name = bare
		}
	}
	if i.Resource == "services" {
		return g.serviceReady(ctx, i.Namespace, name)
	}
	pod, err := g.hostClient.CoreV1().Pods(i.Namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return absent, nil
	}
	if err != nil {
		return unready, fmt.Errorf("read pod: %w", err)
	}
	return podReady(pod, i.Subresource), nil
}

// podReady finds out whether a pod can answer. Its log is there as soon as something runs or ran.
func podReady(pod *corev1.Pod, subresource string) readiness {
	switch {
	case pod.DeletionTimestamp != nil:
		return unready
	case subresource == "log" && pod.Status.Phase != corev1.PodPending:
		return ready
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return ready // it doesn't come back: the API server says why nothing answers
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
			return ready
		}
	}
	return unready
}

// serviceReady finds out whether a service has an endpoint.
func (g *Gate) serviceReady(ctx context.Context, namespace, name string) (readiness, error) {
	slices, err := g.hostClient.DiscoveryV1().EndpointSlices(namespace).
		List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + name})
	if err != nil {
		return unready, fmt.Errorf("list endpoint slices: %w", err)
	}
	for _, slice := range slices.Items {
		for _, endpoint := range slice.Endpoints {
			if ptr.Deref(endpoint.Conditions.Ready, true) {
				return ready, nil
			}
		}
	}
	if len(slices.Items) == 0 {
		return absent, nil
	}
	return unready, nil
}
