package sleepmode

import (
	"context"
	"net/http"

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
func (r Recorder) Record(request *http.Request) {
	r.Next.Record(request)
	target := door.TargetFrom(request.Context())
	if target.Info.Namespace == "" {
		return
	}
	counts := r.Book.Note(activity.RequestOf(request, target.Info, target.URL.RawQuery), request.Host)
	if counts && target.Lane == proxy.Upgrade && activity.Opens(target.Info) {
		// The context ends with the connection.
		context.AfterFunc(request.Context(), r.Book.Connected(target.Info.Namespace))
	}
}
