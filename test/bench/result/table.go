package result

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// columns of the table, in order.
var columns = []struct {
	title  string
	metric Metric
}{
	{"p50 ms", P50},
	{"+p50", AddedP50},
	{"p99 ms", P99},
	{"+p99", AddedP99},
	{"per s", Throughput},
	{"ratio", Ratio},
	{"CPU-ms", CPU},
	{"RSS MiB", Resident},
	{"peak MiB", Peak},
	{"extra", Extra},
	{"lost", Lost},
	{"KiB/watch", PerWatch},
	{"live KiB/watch", HeapPerWatch},
}

// Print writes the table, the goals and the notices.
func (r *Run) Print(out io.Writer) {
	_, _ = fmt.Fprintf(out, "%d cores (%s), Linux %s, %s, %s, %.0f s\n\n",
		r.Machine.CPUs, r.Machine.Model, r.Machine.Kernel, r.Machine.Go, r.Started.Format("2006-01-02 15:04"), r.Seconds)
	r.printCells(out)
	r.printGoals(out)
	if len(r.Own) > 0 {
		_, _ = fmt.Fprintln(out, "\nRequests of the agent in its own name while cells ran:")
		for _, what := range slices.Sorted(maps.Keys(r.Own)) {
			_, _ = fmt.Fprintf(out, "  %d  %s\n", r.Own[what], what)
		}
	}
	for _, notice := range r.Notices {
		_, _ = fmt.Fprintln(out, "Note:", notice)
	}
}

func (r *Run) printCells(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	titles := []string{"work", "client", "workers", "target"}
	for _, column := range columns {
		titles = append(titles, column.title)
	}
	_, _ = fmt.Fprintln(w, strings.Join(titles, "\t")+"\t")
	var group Key
	for _, cell := range r.Cells {
		key := cell.Key
		key.Target = ""
		if group != key && group != (Key{}) {
			_, _ = fmt.Fprintln(w, strings.Repeat("\t", len(titles)))
		}
		group = key
		row := []string{cell.Work, cell.Client, fmt.Sprint(cell.Concurrency), cell.Target}
		for _, column := range columns {
			row = append(row, cell.text(column.metric))
		}
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
	}
	_ = w.Flush()
}

func (c *Cell) text(metric Metric) string {
	value, measured := c.Values[metric]
	if !measured {
		return ""
	}
	return number(value)
}

func (r *Run) printGoals(out io.Writer) {
	verdicts := r.Judge()
	if len(verdicts) == 0 {
		return
	}
	_, _ = fmt.Fprintln(out, "\nGoals of the endpoint:")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "work\tclient\tworkers\tmetric\tgoal\tmeasured\tverdict")
	met := 0
	for _, v := range verdicts {
		sign := "≤"
		if v.AtLeast {
			sign = "≥"
		}
		if v.Met {
			met++
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s %s\t%s\t%s\n",
			v.Work, v.Client, v.Concurrency, v.Metric, sign, number(v.Bound), number(v.Value), v)
	}
	_ = w.Flush()
	_, _ = fmt.Fprintf(out, "%d of %d met\n", met, len(verdicts))
}

// number prints what matters of a value.
func number(value float64) string {
	switch size := math.Abs(value); {
	case math.IsNaN(value):
		return "-"
	case size == 0:
		return "0"
	case size >= 100:
		return fmt.Sprintf("%.0f", value)
	case size >= 10:
		return fmt.Sprintf("%.1f", value)
	case size >= 0.01:
		return fmt.Sprintf("%.2f", value)
	default:
		return fmt.Sprintf("%.4f", value)
	}
}
