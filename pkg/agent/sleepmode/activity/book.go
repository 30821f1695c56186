package activity

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/utils/clock"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
	"loft.sh/agent/pkg/agent/sleepmode/decision"
)

// Book remembers the last activity of each namespace that sleep mode is about.
type Book struct {
	clock clock.PassiveClock

	lock    sync.RWMutex
	entries map[string]*entry
	// woken are namespaces whose activity must be written at once. A name that finds it full is found
	// by the next round.
	woken chan string
}

// NewBook returns an empty book.
func NewBook(c clock.PassiveClock) *Book {
	return &Book{clock: c, entries: map[string]*entry{}, woken: make(chan string, 256)}
}

// entry is a namespace. What a request reads is atomic; so is all it writes but the info.
type entry struct {
	rules atomic.Pointer[Rules]
	// since is when the namespace fell asleep, held until when nothing wakes it, in Unix seconds; 0: it
	// is awake, or anything does.
	since, held atomic.Int64
	// last is the last activity in Unix seconds.
	last atomic.Int64
	// open are connections that keep it awake.
	open atomic.Int32

	lock sync.Mutex
	info clusterv1.LastActivityInfo
	// written is what the annotation says, writtenAt when it was first seen to.
	written   int64
	writtenAt time.Time
}

func (b *Book) entry(namespace string) *entry {
	b.lock.RLock()
	defer b.lock.RUnlock()
	return b.entries[namespace]
}

// Observe follows a namespace: it was added or has changed.
func (b *Book) Observe(namespace *corev1.Namespace) {
	if !annotations.Configured(namespace.Annotations) && !annotations.Owned(namespace.Labels) {
		b.Forget(namespace.Name)
		return
	}
	// What cannot be read is the controller's to tell; the rest counts.
	rules, _ := Compile(namespace.Annotations)
	state, _ := annotations.ReadNamespace(namespace.Annotations)
	e := b.ensure(namespace.Name)
	e.rules.Store(rules)
	var since int64
	if state.Phase != annotations.Awake {
		since = max(state.Status.SleepingSince, state.ForcedSince)
	}
	e.since.Store(since)
	e.held.Store(max(0, decision.HeldUntil(state).Unix()))
	e.lock.Lock()
	if e.written != state.Status.LastActivity {
		e.written, e.writtenAt = state.Status.LastActivity, b.clock.Now()
	}
	e.lock.Unlock()
	if since != 0 && e.last.Load() > since {
		// It came while the namespace fell asleep.
		b.wake(namespace.Name)
	}
}

// Forget ends following a namespace.
func (b *Book) Forget(namespace string) {
	b.lock.Lock()
	defer b.lock.Unlock()
	delete(b.entries, namespace)
}

func (b *Book) ensure(namespace string) *entry {
	b.lock.Lock()
	defer b.lock.Unlock()
	e := b.entries[namespace]
	if e == nil {
		e = &entry{}
		b.entries[namespace] = e
	}
	return e
}

// Note notes q, made under the name host, if it counts, and says whether it does.
func (b *Book) Note(q Request, host string) bool {
	if q.Info.Namespace == "" {
		return false
	}
	e := b.entry(q.Info.Namespace)
	if e == nil || !e.rules.Load().Counts(q) {
		return false
	}
	now := b.clock.Now().Unix()
	if now < e.held.Load() {
		return true
	}
	if since := e.since.Load(); since != 0 {
		e.note(max(now, since+1), q, host)
		b.wake(q.Info.Namespace)
		return true
	}
	e.note(now, q, host)
	return true
}

func (e *entry) note(now int64, q Request, host string) {
	e.lock.Lock()
	e.info = q.info(host)
	e.lock.Unlock()
	e.last.Store(now)
}

// wake has the namespace's activity written at once.
func (b *Book) wake(namespace string) {
	select {
	case b.woken <- namespace:
	default:
	}
}

// Connected notes that a connection is open until the returned function is called.
func (b *Book) Connected(namespace string) (closed func()) {
	e := b.entry(namespace)
	if e == nil {
		return func() {}
	}
	e.open.Add(1)
	return func() { e.open.Add(-1) }
}

// State is whether a namespace sleeps.
type State struct {
	// Asleep is set from falling asleep until the last workload is back.
	Asleep bool
	// HeldUntil is until when nothing wakes it; zero: anything does.
	HeldUntil time.Time
	// ByHand is set where only a person ends that.
	ByHand bool
}

// State returns the state of a namespace. It costs a look-up.
func (b *Book) State(namespace string) State {
	e := b.entry(namespace)
	if e == nil || e.since.Load() == 0 {
		return State{}
	}
	held := e.held.Load()
	if b.clock.Now().Unix() >= held {
		return State{Asleep: true}
	}
	return State{Asleep: true, HeldUntil: time.Unix(held, 0), ByHand: held == decision.Forever.Unix()}
}

// Counts says whether q counts as activity in its namespace, and notes nothing.
func (b *Book) Counts(q Request) bool {
	e := b.entry(q.Info.Namespace)
	return e != nil && e.rules.Load().Counts(q)
}

// RequestOf is r as it is in a handler chain: with user and request info in its context; query is the
// inner request's.
func RequestOf(r *http.Request, info *request.RequestInfo, query string) Request {
	person, _ := request.UserFrom(r.Context())
	return Request{Info: info, User: person, Header: r.Header, Query: query}
}
