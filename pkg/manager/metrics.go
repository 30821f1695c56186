package manager

import (
	"k8s.io/component-base/metrics/legacyregistry"

	"loft.sh/agent/pkg/listen"
)

// listenMetrics are those of all three listeners.
var listenMetrics = listen.NewMetrics("loft_manager")

func init() { legacyregistry.MustRegister(listenMetrics.All()...) }
