package gateway

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/component-base/metrics/legacyregistry"
)

// metricsFile is the reference of the gateway's own metrics; UPDATE_GOLDEN=true go test
// ./pkg/manager/gateway writes it anew.
const metricsFile = "testdata/metrics.txt"

func TestMetrics(t *testing.T) {
	// A metric with labels is there from its first value on.
	Metrics.Requests("gateway").Unread(errors.New("x"))
	countClusters(nil)

	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), namespace+"_") {
			continue
		}
		var labels []string
		for _, label := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, label.GetName())
		}
		kind := strings.ToLower(f.GetType().String())
		fmt.Fprintf(&got, "%s{%s} %s\n    %s\n", f.GetName(), strings.Join(labels, ","), kind, f.GetHelp())
		if counts := strings.HasSuffix(f.GetName(), "_total"); counts != (kind == "counter") {
			t.Errorf("%s is a %s: counters, and they alone, end with _total", f.GetName(), kind)
		}
	}
	if os.Getenv("UPDATE_GOLDEN") == "true" {
		if err := os.WriteFile(metricsFile, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(metricsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
