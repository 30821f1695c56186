package issued

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// Watcher knows all records, and the ConfigMap of single revoked tokens.
type Watcher struct {
	factories []informers.SharedInformerFactory
	records   corelisters.ConfigMapNamespaceLister
	revoked   corelisters.ConfigMapNamespaceLister
	synced    []cache.InformerSynced

	lock sync.Mutex
	// read holds what was read out of ConfigMaps that are still the newest: reading is most of the work.
	read map[*corev1.ConfigMap]Stored
}

// NewWatcher returns a Watcher that knows nothing before Run. notify is called at each change, and must
// not block.
func NewWatcher(client kubernetes.Interface, namespace string, notify func()) (*Watcher, error) {
	w := &Watcher{}
	var err error
	if w.records, err = w.watch(client, namespace, notify, func(o *metav1.ListOptions) { o.LabelSelector = Label + "=" + labelValue }); err != nil {
		return nil, err
	}
	w.revoked, err = w.watch(client, namespace, notify, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", RevokedName).String()
	})
	return w, err
}

func (w *Watcher) watch(client kubernetes.Interface, namespace string, notify func(), tweak func(*metav1.ListOptions)) (corelisters.ConfigMapNamespaceLister, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(tweak), informers.WithTransform(withoutManagedFields))
	configMaps := factory.Core().V1().ConfigMaps()
	_, err := configMaps.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { notify() }, UpdateFunc: func(any, any) { notify() }, DeleteFunc: func(any) { notify() },
	})
	if err != nil {
		return nil, fmt.Errorf("watch issued tokens: %w", err)
	}
	w.factories = append(w.factories, factory)
	w.synced = append(w.synced, configMaps.Informer().HasSynced)
	return configMaps.Lister().ConfigMaps(namespace), nil
}

// Run watches until ctx is done.
func (w *Watcher) Run(ctx context.Context) {
	for _, factory := range w.factories {
		factory.StartWithContext(ctx)
	}
	<-ctx.Done()
	for _, factory := range w.factories {
		factory.Shutdown()
	}
}

// WaitForSync returns false where ctx ends before everything has been read once.
func (w *Watcher) WaitForSync(ctx context.Context) bool {
	return cache.WaitForCacheSync(ctx.Done(), w.synced...)
}

// Records returns all records, which are shared and must not be changed. The error says that there is one of which not even the subject is known.
func (w *Watcher) Records() ([]Stored, error) {
	configMaps, err := w.records.List(labels.SelectorFromSet(labels.Set{Label: labelValue}))
	if err != nil {
		return nil, fmt.Errorf("list issued tokens: %w", err)
	}
	w.lock.Lock()
	defer w.lock.Unlock()
	all, read := make([]Stored, 0, len(configMaps)), make(map[*corev1.ConfigMap]Stored, len(configMaps))
	defer func() { w.read = read }()
	var lost []string
	for _, configMap := range configMaps {
		stored, known := w.read[configMap]
		if !known {
			stored = Read(configMap)
		}
		read[configMap] = stored
		if stored.Subject == "" {
			lost = append(lost, configMap.Name)
			continue
		}
		all = append(all, stored)
	}
	if len(lost) > 0 {
		return all, fmt.Errorf("ConfigMaps %q have the label %q and are no records: take it off", lost, Label)
	}
	return all, nil
}

// Revoked returns the ConfigMap of single revoked tokens; nil: there is none.
func (w *Watcher) Revoked() (*corev1.ConfigMap, error) {
	configMap, err := w.revoked.Get(RevokedName)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return configMap, err
}

// withoutManagedFields leaves out what takes more memory than the record.
func withoutManagedFields(object any) (any, error) {
	if configMap, ok := object.(*corev1.ConfigMap); ok {
		configMap.ManagedFields = nil
	}
	return object, nil
}
