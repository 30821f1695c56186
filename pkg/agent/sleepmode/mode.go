package sleepmode

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/dynamic"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/agent/sleepmode/activity"
	"loft.sh/agent/pkg/agent/sleepmode/controller"
	"loft.sh/agent/pkg/agent/sleepmode/wake"
	"loft.sh/agent/pkg/agent/sleepmode/workload"
)

// Mode is sleep mode in one replica.
type Mode struct {
	// Book notes activity; Gate holds requests.
	Book *activity.Book
	Gate *wake.Gate

	options    Options
	hostClient kubernetes.Interface
	namespaces coreinformers.NamespaceInformer
	workloads  *workload.Workloads
	started    time.Time
}

// New returns sleep mode of the cluster that config reaches. namespaces is run by the caller.
func (o *Options) New(config *rest.Config, hostClient kubernetes.Interface, namespaces coreinformers.NamespaceInformer) (*Mode, error) {
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client for workloads: %w", err)
	}
	namespaces.Informer() // has it run with the others
	book := activity.NewBook(clock.RealClock{})
	return &Mode{
		Book: book, Gate: wake.NewGate(book, hostClient, o.WakeTimeout, clock.RealClock{}),
		options: *o, hostClient: hostClient, namespaces: namespaces, workloads: workload.New(dynamicClient), started: time.Now(),
	}, nil
}

// Strip removes from a namespace what nobody here reads, before it is kept in memory.
func Strip(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}

// Run follows namespaces, writes activity, and while this replica leads puts to sleep and wakes, until
// ctx is done.
func (m *Mode) Run(ctx context.Context) {
	if !m.options.Enabled {
		return
	}
	if _, err := m.namespaces.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    m.observe,
		UpdateFunc: func(_, object any) { m.observe(object) },
		DeleteFunc: m.forget,
	}); err != nil {
		klog.ErrorS(err, "Namespaces cannot be followed, no activity is noted")
		return
	}
	var running sync.WaitGroup
	running.Go(func() { activity.NewFlusher(m.Book, m.hostClient.CoreV1().Namespaces()).Run(ctx) })
	running.Go(func() { m.lead(ctx) })
	running.Wait()
}

func (m *Mode) observe(object any) {
	if namespace, ok := object.(*corev1.Namespace); ok {
		m.Book.Observe(namespace)
	}
}

func (m *Mode) forget(object any) {
	if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
		m.Book.Forget(key)
	}
}

// lead runs the controller while this replica leads.
func (m *Mode) lead(ctx context.Context) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: m.hostClient.CoreV1().Events("")})
	config := controller.Config{
		HostClient: m.hostClient, Namespaces: m.namespaces, Workloads: m.workloads, Clock: clock.RealClock{},
		Events: broadcaster.NewRecorder(clientscheme.Scheme, corev1.EventSource{Component: workload.FieldManager}),
		Uptime: func() time.Duration { return time.Since(m.started) }, Own: m.options.Namespace,
	}
	term := func(ctx context.Context) { controller.New(config).Run(ctx) }
	if !m.options.LeaderElect {
		term(ctx)
		return
	}
	host, _ := os.Hostname() // an identity without it is one, too
	elector := controller.Elector{HostClient: m.hostClient, Namespace: m.options.Namespace, Identity: host + "_" + string(uuid.NewUUID())}
	elector.Run(ctx, term)
}
