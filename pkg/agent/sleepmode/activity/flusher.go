package activity

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/klog/v2"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
	"loft.sh/agent/pkg/agent/sleepmode/workload"
)

const (
	// period is how often a namespace's activity is written, at most; all replicas count together,
	// since each sees what the others wrote.
	period = time.Minute
	// round is how often the book is looked through. With period it must stay below decision.Grace.
	round = 4 * time.Second
	// writeTimeout bounds one write.
	writeTimeout = 10 * time.Second
)

// Flusher writes the book to the namespaces' annotations.
type Flusher struct {
	book       *Book
	hostClient corev1client.NamespaceInterface
}

// NewFlusher returns a Flusher of book.
func NewFlusher(book *Book, hostClient corev1client.NamespaceInterface) *Flusher {
	return &Flusher{book: book, hostClient: hostClient}
}

// Run writes until ctx is done, and then, for a last time, what there is.
func (f *Flusher) Run(ctx context.Context) {
	ticker := time.NewTicker(round)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
			f.flush(ending)
			cancel()
			return
		case namespace := <-f.book.woken:
			f.write(ctx, namespace, f.book.entry(namespace))
		case <-ticker.C:
			f.flush(ctx)
		}
	}
}

// flush writes what is due.
func (f *Flusher) flush(ctx context.Context) {
	for namespace, e := range f.book.due() {
		if ctx.Err() != nil {
			return
		}
		f.write(ctx, namespace, e)
	}
}

// due are the entries that must be written. Those with open connections are active now.
func (b *Book) due() map[string]*entry {
	b.lock.RLock()
	defer b.lock.RUnlock()
	due := map[string]*entry{}
	for namespace, e := range b.entries {
		now := b.clock.Now()
		if e.since.Load() == 0 && e.open.Load() > 0 && !e.rules.Load().connections {
			e.last.Store(now.Unix())
		}
		if e.isDue(now) {
			due[namespace] = e
		}
	}
	return due
}

// isDue says whether an entry must be written: after a minute, or at once to wake its namespace.
func (e *entry) isDue(now time.Time) bool {
	e.lock.Lock()
	defer e.lock.Unlock()
	if e.last.Load() <= e.written {
		return false
	}
	since := e.since.Load()
	wakes := since != 0 && e.written <= since
	return wakes || now.Sub(e.writtenAt) >= period
}

// write writes an entry, if it is due.
func (f *Flusher) write(ctx context.Context, namespace string, e *entry) {
	if e == nil || !e.isDue(f.book.clock.Now()) {
		return
	}
	last, change := e.change()
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	_, err := f.hostClient.Patch(ctx, namespace, types.MergePatchType, change.Patch(""), metav1.PatchOptions{FieldManager: workload.FieldManager})
	if err != nil {
		if !apierrors.IsNotFound(err) && ctx.Err() == nil {
			klog.ErrorS(fmt.Errorf("patch namespace: %w", err), "Last activity not written, it is tried again", "namespace", namespace)
		}
		return
	}
	e.lock.Lock()
	defer e.lock.Unlock()
	e.written, e.writtenAt = max(e.written, last), f.book.clock.Now()
}

// change is what an entry says now, and of when.
func (e *entry) change() (last int64, change annotations.Change) {
	e.lock.Lock()
	defer e.lock.Unlock()
	last, change = e.last.Load(), annotations.Change{}
	if e.info == (clusterv1.LastActivityInfo{}) {
		change.SetNumber(annotations.LastActivityKey, last) // an open connection alone: who opened it stands there
		return last, change
	}
	info := e.info
	change.SetActivity(last, &info)
	return last, change
}
