package result

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// Difference of one ratio between two runs.
type Difference struct {
	Key
	Metric   Metric
	Old, New float64
	// Goal says that a goal is set for it.
	Goal bool
}

// Share is the difference in relation to the old value.
func (d Difference) Share() float64 { return d.New/d.Old - 1 }

// Compare returns the throughput ratios that both runs have.
func Compare(before, after *Run) []Difference {
	var differences []Difference
	for _, cell := range before.Cells {
		ratio, measured := cell.Values[Ratio]
		other := after.Find(cell.Key)
		if !measured || other == nil {
			continue
		}
		differences = append(differences, Difference{
			Key: cell.Key, Metric: Ratio, Old: ratio, New: other.Values[Ratio], Goal: hasGoal(cell.Key, Ratio),
		})
	}
	return differences
}

func hasGoal(key Key, metric Metric) bool {
	if key.Target != "endpoint" {
		return false
	}
	for _, goal := range Goals() {
		if goal.Work == key.Work && goal.Concurrency == key.Concurrency && goal.Metric == metric &&
			(goal.Client == "" || goal.Client == key.Client) {
			return true
		}
	}
	return false
}

// PrintComparison writes both runs' ratios side by side and returns an error that counts those with a
// goal that differ by more than threshold, a share such as 0.15.
func PrintComparison(out io.Writer, before, after *Run, threshold float64) error {
	differences := Compare(before, after)
	if len(differences) == 0 {
		return fmt.Errorf("the runs have no ratio in common")
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "work\tclient\tworkers\ttarget\told\tnew\tdifference\tgoal\t\t")
	apart := 0
	for _, d := range differences {
		goal, mark := "", ""
		if d.Goal {
			goal = "yes"
		}
		if math.Abs(d.Share()) > threshold {
			mark = "!"
			if d.Goal {
				mark = "!!"
				apart++
			}
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%.3f\t%.3f\t%+.1f %%\t%s\t%s\t\n",
			d.Work, d.Client, d.Concurrency, d.Target, d.Old, d.New, 100*d.Share(), goal, mark)
	}
	_ = w.Flush()
	if apart > 0 {
		return fmt.Errorf("%d ratios with a goal differ by more than %.0f %%", apart, 100*threshold)
	}
	_, _ = fmt.Fprintf(out, "no ratio with a goal differs by more than %.0f %%\n", 100*threshold)
	return nil
}
