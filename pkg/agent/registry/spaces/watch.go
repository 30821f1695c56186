package spaces

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/tools/cache"

	"loft.sh/agent/pkg/agent/sleepmode/view"
)

// look is how often a watch looks whether its person may see something else by now.
const look = 5 * time.Second

// pause is the least time between two comparisons of a watch.
const pause = 250 * time.Millisecond

var _ rest.Watcher = &REST{}

// Watch follows the spaces that the person may see. It begins with all of them where no version is
// asked for, else with those that have changed since; what was deleted since is not known any more, so a
// version before the newest deletion that this agent saw, or before it began, is too old.
func (r *REST) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	person, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewInternalError(errors.New("no user in the context"))
	}
	var since uint64
	if options != nil && options.ResourceVersion != "" && options.ResourceVersion != "0" {
		version, err := strconv.ParseUint(options.ResourceVersion, 10, 64)
		if err != nil {
			return nil, apierrors.NewBadRequest("resourceVersion: " + err.Error())
		}
		if since = version; since < r.floor.get() {
			return nil, apierrors.NewResourceExpired("the resource version is too old: list again")
		}
	}
	w := &watcher{rest: r, person: person, options: options, since: since, known: map[string]*corev1.Namespace{}, changed: make(chan struct{}, 1), events: make(chan watch.Event)}
	ctx, w.cancel = context.WithCancel(ctx)
	registration, err := r.Namespaces.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: w.poke, UpdateFunc: func(_, object any) { w.poke(object) }, DeleteFunc: w.poke,
	})
	if err != nil {
		w.cancel()
		return nil, apierrors.NewInternalError(err)
	}
	go func() {
		defer close(w.events)
		defer func() { _ = r.Namespaces.Informer().RemoveEventHandler(registration) }()
		w.run(ctx)
	}()
	return w, nil
}

// watcher compares what its person may see with what was sent, whenever anything changes.
type watcher struct {
	rest    *REST
	person  user.Info
	options *metainternalversion.ListOptions
	// since is the version that the client knows; 0: nothing.
	since uint64
	// known is what the client knows.
	known   map[string]*corev1.Namespace
	changed chan struct{}
	events  chan watch.Event
	cancel  context.CancelFunc
}

// Stop implements watch.Interface.
func (w *watcher) Stop() { w.cancel() }

// ResultChan implements watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.events }

func (w *watcher) poke(any) {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *watcher) run(ctx context.Context) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	version := w.rest.Visibility.Version()
	if !w.compare(ctx, true) {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.changed:
		case <-ticker.C:
			if now := w.rest.Visibility.Version(); now == version {
				continue
			}
		}
		version = w.rest.Visibility.Version()
		if !w.compare(ctx, false) {
			return
		}
		// In a big cluster something changes all the time.
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// compare sends what is new, changed and gone. What the client knows at first is not sent.
func (w *watcher) compare(ctx context.Context, first bool) bool {
	visible, err := w.rest.Visibility.Visible(w.person)
	if err != nil {
		return true // RBAC is being read: it is compared again when it has been
	}
	namespaces, err := w.rest.Namespaces.Lister().List(labels.Everything())
	if err != nil {
		return false
	}
	seen := map[string]bool{}
	for _, namespace := range namespaces {
		if !visible.Has(namespace.Name) || !isSpace(namespace) || !w.selects(namespace) {
			continue
		}
		seen[namespace.Name] = true
		kind := w.learn(namespace, first)
		if kind != "" && !w.send(ctx, kind, namespace) {
			return false
		}
	}
	return w.forget(ctx, seen)
}

// learn keeps namespace as what the client knows, and says which event tells it so; none where it knew.
func (w *watcher) learn(namespace *corev1.Namespace, first bool) watch.EventType {
	before := w.known[namespace.Name]
	w.known[namespace.Name] = namespace
	switch {
	case before == nil && first && w.since != 0 && versionOf(namespace) <= w.since:
		return ""
	case before == nil || before.UID != namespace.UID:
		return watch.Added
	case before.ResourceVersion == namespace.ResourceVersion:
		return ""
	}
	return watch.Modified
}

// forget sends what the client knows and was not seen any more.
func (w *watcher) forget(ctx context.Context, seen map[string]bool) bool {
	for name, namespace := range w.known {
		if seen[name] {
			continue
		}
		delete(w.known, name)
		if !w.send(ctx, watch.Deleted, namespace) {
			return false
		}
	}
	return true
}

func (w *watcher) selects(namespace *corev1.Namespace) bool {
	return labelSelector(w.options).Matches(labels.Set(namespace.Labels)) && selectsField(w.options, namespace)
}

func (w *watcher) send(ctx context.Context, kind watch.EventType, namespace *corev1.Namespace) bool {
	select {
	case w.events <- watch.Event{Type: kind, Object: view.Space(namespace, w.rest.Now())}:
		return true
	case <-ctx.Done():
		return false
	}
}

func versionOf(namespace *corev1.Namespace) uint64 {
	version, _ := strconv.ParseUint(namespace.ResourceVersion, 10, 64)
	return version
}

// floor is the oldest version that a watch can begin at.
type floor struct {
	lock    sync.Mutex
	version uint64
}

func (f *floor) get() uint64 {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.version
}

// raise notes that something is gone which was there in a version.
func (f *floor) raise(version uint64) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.version = max(f.version, version)
}

// Follow keeps what watches must know of the past. It is called once, before the informers run.
func (r *REST) Follow() error {
	_, err := r.Namespaces.Informer().AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, initial bool) {
			if namespace, ok := object.(*corev1.Namespace); ok && initial {
				r.floor.raise(versionOf(namespace))
			}
		},
		DeleteFunc: func(object any) {
			if namespace, ok := object.(*corev1.Namespace); ok {
				r.floor.raise(versionOf(namespace))
			}
		},
	})
	return err
}
