package view

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
)

// recheckPeriod is how often a watch asks whether it still shows what its person sees, for changes of
// the central cluster's RBAC, which nobody tells of.
const recheckPeriod = 30 * time.Second

// Watch shows the changes of what the person sees.
func (s *Store[V, S, L]) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	// Before the question: a change between the two is then noticed.
	changed := s.kind.Sight.Changed()
	filter, err := s.filter(ctx)
	if err != nil {
		return nil, err
	}
	selected, err := listOptions(options)
	if err != nil {
		return nil, err
	}
	selected.Watch = true
	ctx, cancel := context.WithCancel(ctx)
	source, err := s.kind.Client.Watch(ctx, selected)
	if err != nil {
		cancel()
		return nil, s.translate(err)
	}
	w := &watcher[V, S, L]{store: s, source: source, filter: filter, changed: changed, events: make(chan watch.Event), cancel: cancel}
	go w.run(ctx)
	return w, nil
}

// watcher shows what filter shows of source, while that does not change.
type watcher[V, S Object, L runtime.Object] struct {
	store   *Store[V, S, L]
	source  watch.Interface
	filter  Filter[S]
	changed <-chan struct{}
	events  chan watch.Event
	cancel  context.CancelFunc
}

// ResultChan implements watch.Interface.
func (w *watcher[V, S, L]) ResultChan() <-chan watch.Event { return w.events }

// Stop implements watch.Interface.
func (w *watcher[V, S, L]) Stop() { w.cancel() }

func (w *watcher[V, S, L]) run(ctx context.Context) {
	defer close(w.events)
	defer w.source.Stop()
	defer w.cancel()
	recheck := time.NewTicker(recheckPeriod)
	defer recheck.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event, open := <-w.source.ResultChan():
			if !open || !w.pass(ctx, event) {
				return
			}
			continue
		case <-w.changed:
			w.changed = w.store.kind.Sight.Changed()
		case <-recheck.C:
		}
		if filter, err := w.store.filter(ctx); err == nil && !filter.Equal(w.filter) {
			w.send(ctx, watch.Event{Type: watch.Error, Object: expired()})
			return
		}
	}
}

// pass sends what the person sees of an event.
func (w *watcher[V, S, L]) pass(ctx context.Context, event watch.Event) bool {
	object, ok := event.Object.(S)
	switch {
	case event.Type == watch.Error:
		err := w.store.translate(apierrors.FromObject(event.Object))
		if status, ok := err.(apierrors.APIStatus); ok {
			refusal := status.Status()
			event.Object = &refusal
		}
		return w.send(ctx, event)
	case !ok:
		return true
	case event.Type != watch.Bookmark && !w.filter.Has(object.GetName(), object):
		return true
	}
	event.Object = w.store.show(object)
	return w.send(ctx, event)
}

func (w *watcher[V, S, L]) send(ctx context.Context, event watch.Event) bool {
	select {
	case w.events <- event:
		return true
	case <-ctx.Done():
		return false
	}
}

// expired has a client list anew.
func expired() *metav1.Status {
	status := apierrors.NewResourceExpired("what you may see has changed; list anew").ErrStatus
	return &status
}
