package agent

import (
	"k8s.io/component-base/metrics/legacyregistry"

	"loft.sh/agent/pkg/listen"
)

// listenMetrics are those of all three listeners.
var listenMetrics = listen.NewMetrics("loft_agent")

func init() { legacyregistry.MustRegister(listenMetrics.All()...) }
