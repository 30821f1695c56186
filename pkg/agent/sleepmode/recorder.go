package sleepmode

import (
	"context"
	"net/http"

	"k8s.io/apiserver/pkg/endpoints/request"

	"loft.sh/agent/pkg/agent/sleepmode/activity"
	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/proxy"
)

// Recorder is a door.Recorder that notes activity, and passes on to Next.
type Recorder struct {
	Book *activity.Book
	Next door.Recorder
}

// Record implements door.Recorder.
func (r Recorder) Record(q *http.Request) {
	r.Next.Record(q)
	target := door.TargetFrom(q.Context())
	if target.Info.Namespace == "" {
		return
	}
	counts := r.Book.Note(activity.RequestOf(q, target.Info, target.URL.RawQuery), q.Host)
	if counts && target.Lane == proxy.Upgrade && activity.Opens(target.Info) {
		// The context ends with the connection.
		context.AfterFunc(q.Context(), r.Book.Connected(target.Info.Namespace))
	}
}

// WithActivity notes activity on the aggregated API, before next serves it.
func WithActivity(next http.Handler, book *activity.Book) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, ok := request.RequestInfoFrom(r.Context()); ok {
			book.Note(activity.RequestOf(r, info, r.URL.RawQuery), r.Host)
		}
		next.ServeHTTP(w, r)
	})
}
