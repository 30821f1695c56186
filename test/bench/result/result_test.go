package result

import (
	"bytes"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// made is a run of one work with three rounds; the machine was slow in the second.
func made(endpoint ...float64) *Run {
	r := &Run{}
	for i, base := range []float64{1000, 100, 1000} {
		r.Add(Key{"get", "http2", 16, "direct"}, Sample{Round: float64(i), P50: 1, Throughput: base})
		r.Add(Key{"get", "http2", 16, "endpoint"}, Sample{
			Round: float64(i), P50: 1.5, Throughput: base * endpoint[i], Requests: 100, Upstream: 100 + float64(i), CPU: 0.2,
		})
	}
	r.Summarise()
	return r
}

func TestSummariseComparesWithinRounds(t *testing.T) {
	values := made(0.8, 0.9, 0.8).Find(Key{"get", "http2", 16, "endpoint"}).Values
	want := Sample{
		P50: 1.5, AddedP50: 0.5, Throughput: 800, Ratio: 0.8, CPU: 0.2, Requests: 100, Upstream: 101, Extra: 0.01,
	}
	if diff := cmp.Diff(want, values, approximately); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

var approximately = cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })

func TestGrowthComparesPeaks(t *testing.T) {
	r := &Run{}
	for _, peak := range []float64{50, 60, 55} {
		r.Add(Key{"list-500", "http2", 16, "endpoint"}, Sample{Peak: peak})
		r.Add(Key{"list-20m", "http2", 16, "endpoint"}, Sample{Peak: peak + 30})
	}
	r.Summarise()
	if got := r.Find(Key{"list-20m", "http2", 16, "endpoint"}).Values[Growth]; got != 30 {
		t.Errorf("got growth %v, want 30", got)
	}
}

func TestJudge(t *testing.T) {
	tests := []struct {
		name  string
		ratio float64
		want  string
	}{
		{"met", 0.8, "met"},
		{"just met", 0.75, "met"},
		{"missed", 0.6, "missed by 0.15 (20 %)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, v := range made(tt.ratio, tt.ratio, tt.ratio).Judge() {
				if v.Metric == Ratio {
					if v.String() != tt.want {
						t.Errorf("got %q, want %q", v, tt.want)
					}
					return
				}
			}
			t.Error("no verdict on the ratio")
		})
	}
}

func TestVerdictOnLessIsBetter(t *testing.T) {
	v := Verdict{Goal: Goal{Metric: CPU, Bound: 0.4}, Value: 0.5}
	v.Met = v.met(v.Value)
	if got, want := v.String(), "missed by 0.10 (25 %)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWriteAndRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.json")
	want := made(0.8, 0.9, 0.8)
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run (-written +read):\n%s", diff)
	}
}

func TestPrintComparison(t *testing.T) {
	tests := []struct {
		name          string
		before, after *Run
		threshold     float64
		wantError     string
		wantPrinted   string
	}{
		{"alike", made(0.8, 0.8, 0.8), made(0.8, 0.75, 0.8), 0.15, "", "+0.0 %"},
		{"a round apart", made(0.8, 0.8, 0.8), made(0.8, 0.2, 0.8), 0.15, "", "no ratio with a goal differs"},
		{"slower", made(0.8, 0.8, 0.8), made(0.6, 0.6, 0.6), 0.15, "1 ratios with a goal differ by more than 15 %", "-25.0 %"},
		{"faster", made(0.6, 0.6, 0.6), made(0.8, 0.8, 0.8), 0.15, "1 ratios with a goal differ by more than 15 %", "+33.3 %"},
		{"slower than a wide threshold", made(0.8, 0.8, 0.8), made(0.6, 0.6, 0.6), 0.3, "", "-25.0 %"},
		{"nothing in common", made(0.8, 0.8, 0.8), &Run{}, 0.15, "no ratio in common", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			err := PrintComparison(&out, tt.before, tt.after, tt.threshold)
			if (err != nil) != (tt.wantError != "") || err != nil && !strings.Contains(err.Error(), tt.wantError) {
				t.Errorf("got error %v, want %q", err, tt.wantError)
			}
			if !strings.Contains(out.String(), tt.wantPrinted) {
				t.Errorf("printed\n%s\nwant in it %q", &out, tt.wantPrinted)
			}
		})
	}
}

func TestPrintShowsGoalsAndNotices(t *testing.T) {
	r := made(0.6, 0.6, 0.6)
	r.Notices = []string{"nginx is left out"}
	r.Own = map[string]int{"create subjectaccessreviews": 2}
	var out bytes.Buffer
	r.Print(&out)
	for _, want := range []string{"missed by 0.15 (20 %)", "Note: nginx is left out", "2  create subjectaccessreviews", "0.60"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed\n%s\nwant in it %q", &out, want)
		}
	}
}

func TestGoalsNameKnownWork(t *testing.T) {
	known := []string{"get", "list-500", "list-20m", "create-delete", "watch-replay", "watch-event", "watch-burst", "watch-idle", AllWork}
	for _, goal := range Goals() {
		found := false
		for _, name := range known {
			found = found || name == goal.Work
		}
		if !found {
			t.Errorf("goal for unknown work %q", goal.Work)
		}
	}
}
