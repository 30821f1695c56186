package streams

import (
	"context"
	"errors"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kind is what a stream carries; it decides how its end is told.
type Kind uint8

const (
	// Other streams end without a word, but for WebSocket's Close and SPDY's GOAWAY.
	Other Kind = iota
	// Watch is told by an event of type ERROR.
	Watch
	// Log is told by a last line.
	Log
	// Exec is exec or attach: it is told on the stream for errors.
	Exec
	// PortForward is told on the stream for errors of each connection that is open.
	PortForward
)

// Settings are those of one stream.
type Settings struct {
	Kind Kind
	// Upgrade is set where the connection is to switch protocols.
	Upgrade bool
	// PingPeriod is how long an upgraded connection may be silent towards the client until it is
	// pinged; 0: never.
	PingPeriod time.Duration
	// IdleTimeout is how long an upgraded connection may carry no payload until it is ended; 0: for
	// ever. Pings of either side are not payload.
	IdleTimeout time.Duration
}

// End is why the agent ends a stream. It is an error, to be the cause of the context of a request.
type End struct {
	// Code is the HTTP status that a client would have met with a new request.
	Code int32
	// Reason is what clients decide by.
	Reason metav1.StatusReason
	// Message says to a person what happened and what to do. It must not hold a credential.
	Message string
	// GoingAway is set where nothing is wrong with the stream: the client may open it again at once.
	// Watches then end as the API server ends them, without an event.
	GoingAway bool
	// Err is where the end comes from; may be nil.
	Err error
}

// Error implements error.
func (e *End) Error() string { return e.Message }

// Unwrap returns where the end comes from.
func (e *End) Unwrap() error { return e.Err }

// Status is the end as the API server tells of failures.
func (e *End) Status() *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure,
		Code:     e.Code, Reason: e.Reason, Message: e.Message,
	}
}

// idleEnd is the end of a stream that carried nothing for so long.
func idleEnd(timeout time.Duration) *End {
	return &End{
		Code: http.StatusGatewayTimeout, Reason: metav1.StatusReasonTimeout,
		Message: "the stream was closed, because it was idle for " + timeout.String(),
	}
}

// EndOf returns why the agent ended the request of ctx; nil: it did not, or not yet.
func EndOf(ctx context.Context) *End {
	var end *End
	if ctx.Err() != nil && errors.As(context.Cause(ctx), &end) {
		return end
	}
	return nil
}
