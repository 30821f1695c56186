package workload

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// FieldManager owns the fields that sleep changes: the replicas of a workload that sleeps belong to it.
const FieldManager = "loft-agent"

// Workloads puts namespaces to sleep and wakes them.
type Workloads struct {
	hostClient dynamic.Interface
}

// New returns Workloads in the cluster of hostClient.
func New(hostClient dynamic.Interface) *Workloads { return &Workloads{hostClient: hostClient} }

// Failure is an object that could not be put to sleep or woken.
type Failure struct {
	// Object names it, such as "deployments/web".
	Object string
	Err    error
}

// Result is what a pass did.
type Result struct {
	// Replicas are how many were taken or given back.
	Replicas int64
	Failures []Failure
}

// Failed says whether anything is left to do.
func (r Result) Failed() bool { return len(r.Failures) > 0 }

// The resources that sleep touches.
var (
	deployments  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	statefulSets = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}
	replicaSets  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
	daemonSets   = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}
	controllers  = schema.GroupVersionResource{Version: "v1", Resource: "replicationcontrollers"}
	cronJobs     = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "cronjobs"}
	jobs         = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	autoscalers  = schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}
	scaled       = schema.GroupVersionResource{Group: "keda.sh", Version: "v1alpha1", Resource: "scaledobjects"}
	quotas       = schema.GroupVersionResource{Version: "v1", Resource: "resourcequotas"}
	pods         = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
)

// Sleep puts everything in namespace to sleep that is not excluded. First what scales or starts
// something by itself, then what serves, last what is served from; then no new pods come in, and
// where deletePods is set all that are left are deleted.
func (w *Workloads) Sleep(ctx context.Context, namespace string, deletePods bool) Result {
	p := w.pass(namespace)
	p.each(ctx, scaled, p.pauseScaledObject)
	p.each(ctx, autoscalers, p.pauseAutoscaler)
	p.each(ctx, cronJobs, p.suspend)
	p.each(ctx, deployments, p.scaleDown)
	p.each(ctx, replicaSets, p.scaleDown)
	p.each(ctx, controllers, p.scaleDown)
	p.each(ctx, statefulSets, p.scaleDown)
	p.each(ctx, daemonSets, p.keepExcluded)
	p.each(ctx, jobs, p.keepExcluded)
	p.each(ctx, pods, p.keepExcluded)
	p.keepPodsOut(ctx)
	if deletePods {
		p.each(ctx, pods, p.deletePod)
	}
	return p.result
}

// Wake gives everything in namespace back, in the opposite order.
func (w *Workloads) Wake(ctx context.Context, namespace string) Result {
	p := w.pass(namespace)
	p.letPodsIn(ctx)
	p.each(ctx, statefulSets, p.scaleUp)
	p.each(ctx, controllers, p.scaleUp)
	p.each(ctx, replicaSets, p.scaleUp)
	p.each(ctx, deployments, p.scaleUp)
	p.each(ctx, cronJobs, p.resume)
	p.each(ctx, autoscalers, p.resumeAutoscaler)
	p.each(ctx, scaled, p.resumeScaledObject)
	return p.result
}

// pass goes through a namespace once.
type pass struct {
	*Workloads
	namespace string
	result    Result
	// written are the objects whose count this pass wrote down: until they are scaled, it may do so
	// again.
	written map[types.UID]bool
	// excluded are the objects that stay awake, and what they own.
	excluded map[types.UID]bool
}

func (w *Workloads) pass(namespace string) *pass {
	return &pass{Workloads: w, namespace: namespace, written: map[types.UID]bool{}, excluded: map[types.UID]bool{}}
}

// pageSize bounds what is held of a long list.
const pageSize = 250

// attempts are how often an object is tried that others change at the same time.
const attempts = 6

// treatment does something to an object. A conflict has it called again with the object as it is then.
type treatment func(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured) error

// each treats every object of a resource in the namespace. A cluster may not have the resource.
func (p *pass) each(ctx context.Context, resource schema.GroupVersionResource, treat treatment) {
	options := metav1.ListOptions{Limit: pageSize}
	for {
		list, err := p.hostClient.Resource(resource).Namespace(p.namespace).List(ctx, options)
		if apierrors.IsNotFound(err) {
			return
		}
		if err != nil {
			p.fail(resource.Resource, fmt.Errorf("list: %w", err))
			return
		}
		for i := range list.Items {
			if err := p.settle(ctx, resource, &list.Items[i], treat); err != nil {
				p.fail(resource.Resource+"/"+list.Items[i].GetName(), err)
			}
		}
		if options.Continue = list.GetContinue(); options.Continue == "" {
			return
		}
	}
}

// settle treats an object until nobody gets in between. One that is gone is settled.
func (p *pass) settle(ctx context.Context, resource schema.GroupVersionResource, object *unstructured.Unstructured, treat treatment) error {
	var err error
	for range attempts {
		if err = treat(ctx, resource, object); !apierrors.IsConflict(err) {
			break
		}
		object, err = p.hostClient.Resource(resource).Namespace(p.namespace).Get(ctx, object.GetName(), metav1.GetOptions{})
		if err != nil {
			break
		}
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (p *pass) fail(object string, err error) {
	p.result.Failures = append(p.result.Failures, Failure{Object: object, Err: err})
}
