package clusters

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	if errs := NewOptions().Validate(); len(errs) > 0 {
		t.Errorf("the defaults: %v", errs)
	}
	bad := Options{Workers: 0, ResyncPeriod: time.Second, RequestTimeout: 0, ProbePeriod: time.Millisecond, RemovalTimeout: -1}
	all := errors.Join(bad.Validate()...)
	for _, flag := range []string{"concurrent-cluster-syncs", "cluster-resync-period", "cluster-request-timeout", "endpoint-probe-period", "cluster-removal-timeout"} {
		if all == nil || !strings.Contains(all.Error(), "--"+flag+":") {
			t.Errorf("no error names --%s: %v", flag, all)
		}
	}
}
