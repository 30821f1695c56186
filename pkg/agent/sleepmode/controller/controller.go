package controller

import (
	"context"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/agent/sleepmode/workload"
)

const (
	// workers are how many namespaces are gone through at a time.
	workers = 4
	// period is how often a namespace is looked at, at least.
	period = time.Minute
	// passTimeout bounds what is done to one namespace at a time.
	passTimeout = 5 * time.Minute
)

// Workloads puts what runs in a namespace to sleep and wakes it.
type Workloads interface {
	Sleep(ctx context.Context, namespace string, deletePods bool) workload.Result
	Wake(ctx context.Context, namespace string) workload.Result
}

// Config is what a controller needs. Every field is required.
type Config struct {
	HostClient kubernetes.Interface
	// Namespaces are watched for as long as the agent runs, also while it doesn't lead.
	Namespaces coreinformers.NamespaceInformer
	Workloads  Workloads
	Events     record.EventRecorder
	Clock      clock.PassiveClock
	// Uptime is a clock that nobody can set.
	Uptime func() time.Duration
	// Own is the agent's namespace.
	Own string
}

// Controller is one term of leading.
type Controller struct {
	Config
	lister corelisters.NamespaceLister
	queue  workqueue.TypedRateLimitingInterface[string]

	lock sync.Mutex
	// sightings are since when, by the agent's uptime, namespaces were seen that are to be deleted.
	sightings map[types.UID]time.Duration
	// sleeping is what each namespace that sleeps is counted under.
	sleeping map[string]string
}

// New returns a controller that begins anew.
func New(c Config) *Controller {
	return &Controller{
		Config: c, lister: c.Namespaces.Lister(),
		queue:     workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, time.Minute)),
		sightings: map[types.UID]time.Duration{}, sleeping: map[string]string{},
	}
}

// Run goes through namespaces until ctx is done.
func (c *Controller) Run(ctx context.Context) {
	defer c.endMetrics()
	registration, err := c.Namespaces.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.enqueue,
		UpdateFunc: func(_, object any) { c.enqueue(object) },
		DeleteFunc: c.enqueue,
	})
	if err != nil {
		klog.ErrorS(err, "Namespaces cannot be watched, none is put to sleep")
		return
	}
	defer func() { _ = c.Namespaces.Informer().RemoveEventHandler(registration) }()
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return
	}
	var running sync.WaitGroup
	for range workers {
		running.Go(func() { c.work(ctx) })
	}
	<-ctx.Done()
	c.queue.ShutDown()
	running.Wait()
}

func (c *Controller) enqueue(object any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
		c.queue.Add(key)
	}
}

func (c *Controller) work(ctx context.Context) {
	for {
		name, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		c.pass(ctx, name)
		c.queue.Done(name)
	}
}

// pass goes through a namespace and says when to do so again.
func (c *Controller) pass(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	again, err := c.reconcile(ctx, name)
	if err != nil {
		if ctx.Err() == nil {
			klog.ErrorS(err, "Sleep mode is behind, it is tried again", "namespace", name)
		}
		c.queue.AddRateLimited(name)
		return
	}
	c.queue.Forget(name)
	if again > 0 {
		c.queue.AddAfter(name, min(again, period))
	}
}

// protects says whether a namespace is the cluster's or the agent's own.
func (c *Controller) protects(namespace *corev1.Namespace) bool {
	return strings.HasPrefix(namespace.Name, "kube-") || namespace.Name == c.Own
}
