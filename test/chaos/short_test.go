package chaos_test

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/klog/v2"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/rows"
)

// TestShortRows runs the short form of every row that ends within seconds, in one cluster.
func TestShortRows(t *testing.T) {
	// client-go's informers tell of every watch that a fault ends.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	quick := slices.DeleteFunc(rows.All(), func(row chaos.Row) bool { return !row.Quick })
	outcomes, err := chaos.Run(t.Context(), quick, chaos.Options{Dir: t.TempDir(), Short: true, Parallel: true, Log: os.Stderr})
	if err != nil {
		t.Fatal(err)
	}
	for _, outcome := range outcomes {
		t.Run(outcome.Row, func(t *testing.T) {
			if outcome.Verdict != chaos.Held {
				t.Errorf("%s", table(t, outcome))
			}
		})
	}
}

// TestVerdict holds the harness to what it says of a row.
func TestVerdict(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(*chaos.Result)
		want bool
	}{
		{"nothing happened that must not", func(r *chaos.Result) { r.None("errors", 0, "") }, true},
		{"something did", func(r *chaos.Result) { r.None("errors", 1, "") }, false},
		{"one of two missed", func(r *chaos.Result) { r.AtMost("files", 2, 1, ""); r.AtLeast("requests", 2, 1, "") }, false},
		{"nothing checked", func(r *chaos.Result) { r.Note("nothing") }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			result := &chaos.Result{}
			tc.do(result)
			row := chaos.Row{Name: "row", Run: func(context.Context, *chaos.Env) (*chaos.Result, error) { return result, nil }}
			outcome := chaos.RunRow(t.Context(), &chaos.Env{Log: io.Discard}, row)
			if got := chaos.AllHeld([]chaos.Outcome{outcome}); got != tc.want {
				t.Errorf("held: %t, want %t\n%s", got, tc.want, table(t, outcome))
			}
		})
	}
}

func table(t *testing.T, outcome chaos.Outcome) string {
	t.Helper()
	var b strings.Builder
	if err := chaos.WriteTable(&b, []chaos.Outcome{outcome}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
