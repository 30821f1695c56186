// Package wake holds requests for what runs in a namespace that sleeps until it runs again.
//
// In the order the code runs: wake.go decides about a request; ready.go asks whether what it needs is
// there.
//
// What surprises:
//   - Waking itself is not done here: the request has been noted as activity, which is written to the
//     namespace at once, and whichever replica leads wakes it.
//   - Requests that don't count as activity wake nothing and wait for nothing: the API server answers
//     them as if nobody slept.
package wake

import (
	"context"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/agent/sleepmode/activity"
	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/statuserr"
)

const (
	// poll is how often it is looked whether something is ready.
	poll = 250 * time.Millisecond
	// settling is how long after waking something may be missing that is about to be made.
	settling = 5 * time.Second
	// retryAfterSeconds is when a client that waited in vain should come again.
	retryAfterSeconds = 10
)

// Gate is a door.Sleeper.
type Gate struct {
	book       *activity.Book
	hostClient kubernetes.Interface
	timeout    time.Duration
	clock      clock.WithTicker
}

// NewGate returns a gate at which a request waits for at most timeout.
func NewGate(book *activity.Book, hostClient kubernetes.Interface, timeout time.Duration, c clock.WithTicker) *Gate {
	return &Gate{book: book, hostClient: hostClient, timeout: timeout, clock: c}
}

// Await implements door.Sleeper.
func (g *Gate) Await(w http.ResponseWriter, r *http.Request) error {
	target := door.TargetFrom(r.Context())
	if !target.Info.IsResourceRequest || target.Info.Namespace == "" {
		return nil
	}
	return g.admit(r.Context(), w.Header(), activity.RequestOf(r, target.Info, target.URL.RawQuery))
}

// admit is Await for q, whose answer has the headers answer.
func (g *Gate) admit(ctx context.Context, answer http.Header, q activity.Request) error {
	state := g.book.State(q.Info.Namespace)
	if !state.Asleep || !g.book.Counts(q) {
		return nil
	}
	if !state.HeldUntil.IsZero() {
		return hold(answer, q.Info, state)
	}
	warn(answer, fmt.Sprintf("space %s was asleep and wakes up now", q.Info.Namespace))
	if !activity.NeedsWorkload(q.Info) {
		return nil
	}
	return g.wait(ctx, q.Info)
}

// hold refuses what needs a workload while nothing wakes it.
func hold(answer http.Header, i *request.RequestInfo, state activity.State) error {
	message := fmt.Sprintf("space %s sleeps until %s", i.Namespace, state.HeldUntil.UTC().Format(time.RFC3339))
	if state.ByHand {
		message = fmt.Sprintf("space %s sleeps until somebody wakes it", i.Namespace)
	}
	message += "; to wake it: loft wakeup " + i.Namespace
	if !activity.NeedsWorkload(i) {
		warn(answer, message)
		return nil
	}
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusConflict, Reason: metav1.StatusReasonConflict, Message: message,
	}}
}

// warn tells the client's user; kubectl prints it.
func warn(answer http.Header, text string) {
	if header, err := utilnet.NewWarningHeader(299, "-", text); err == nil {
		answer.Add("Warning", header)
	}
}

// wait waits until what i needs is ready.
func (g *Gate) wait(ctx context.Context, i *request.RequestInfo) error {
	deadline := g.clock.NewTimer(g.timeout)
	defer deadline.Stop()
	ticker := g.clock.NewTicker(poll)
	defer ticker.Stop()
	began := g.clock.Now()
	var awakeSince time.Time
	for {
		if g.book.State(i.Namespace).Asleep {
			awakeSince = time.Time{}
		} else if awakeSince.IsZero() {
			awakeSince = g.clock.Now()
		}
		readiness := g.look(ctx, i)
		missing := readiness == absent && !awakeSince.IsZero() && g.clock.Since(awakeSince) >= settling
		if readiness == ready || missing { // what is missing for good is the API server's to say
			waited.Observe(g.clock.Since(began).Seconds())
			return nil
		}
		select {
		case <-ctx.Done():
			return statuserr.Unavailable(fmt.Sprintf("space %s wakes up", i.Namespace), retryAfterSeconds)
		case <-deadline.C():
			gaveUp.Inc()
			return statuserr.Unavailable(fmt.Sprintf("space %s was asleep and wakes up, but %s %s was not ready within %s; try again",
				i.Namespace, i.Resource, i.Name, g.timeout), retryAfterSeconds)
		case <-ticker.C():
		}
	}
}

// look asks whether what i needs is ready.
func (g *Gate) look(ctx context.Context, i *request.RequestInfo) readiness {
	found, err := g.ready(ctx, i)
	if err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).V(2).Info("Readiness unknown, it is asked again", "namespace", i.Namespace, "resource", i.Resource, "err", err)
	}
	return found
}
