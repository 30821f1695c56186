package manager

import (
	"time"

	"loft.sh/agent/pkg/listen"
)

// ShutdownBound is the longest that a manager with these options takes to end.
func (o *Options) ShutdownBound() time.Duration {
	return listen.NewShutdown(o.ServerRun.ShutdownDelayDuration, o.ServerRun.RequestTimeout+centralGrace,
		o.ServerRun.ShutdownWatchTerminationGracePeriod).Bound()
}
