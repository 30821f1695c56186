package result

import "fmt"

// Goal is a bound on one metric of the endpoint. It counts for each client that was measured, or
// for one.
type Goal struct {
	Work        string
	Client      string // empty: each
	Concurrency int
	Metric      Metric
	Bound       float64
	// AtLeast says that more is better; else less is.
	AtLeast bool
}

// Goals are what the endpoint shall reach, all in one run on two shared cores.
func Goals() []Goal {
	return []Goal{
		{Work: "get", Concurrency: 1, Metric: AddedP50, Bound: 0.25},
		{Work: "get", Concurrency: 1, Metric: CPU, Bound: 0.40},
		{Work: "get", Concurrency: 16, Metric: CPU, Bound: 0.30},
		{Work: "get", Concurrency: 16, Metric: Ratio, Bound: 0.75, AtLeast: true},
		{Work: "list-500", Concurrency: 1, Metric: Ratio, Bound: 0.90, AtLeast: true},
		{Work: "list-500", Concurrency: 16, Metric: Ratio, Bound: 0.95, AtLeast: true},
		{Work: "list-20m", Concurrency: 1, Metric: Ratio, Bound: 0.90, AtLeast: true},
		{Work: "list-20m", Concurrency: 16, Metric: Ratio, Bound: 0.85, AtLeast: true},
		// Sixteen answers at once, and not even one of them in memory.
		{Work: "list-20m", Concurrency: 16, Metric: Growth, Bound: 20},
		{Work: "create-delete", Concurrency: 1, Metric: Ratio, Bound: 0.85, AtLeast: true},
		{Work: "create-delete", Concurrency: 16, Metric: Ratio, Bound: 0.75, AtLeast: true},
		{Work: "watch-replay", Concurrency: 1, Metric: Ratio, Bound: 0.95, AtLeast: true},
		{Work: "watch-event", Concurrency: 1, Metric: AddedP50, Bound: 0.3},
		{Work: "watch-burst", Concurrency: 1, Metric: Lost, Bound: 0},
		{Work: "watch-idle", Client: "http2", Concurrency: 1000, Metric: PerWatch, Bound: 60},
		// What is cached is asked for anew now and then, so this is not zero to the last digit.
		{Work: AllWork, Concurrency: 0, Metric: Extra, Bound: 0.001},
	}
}

// Verdict is a goal with what was reached.
type Verdict struct {
	Goal
	Client string
	Value  float64
	Met    bool
}

// Judge returns a verdict for each goal that was measured.
func (r *Run) Judge() []Verdict {
	var verdicts []Verdict
	for _, goal := range Goals() {
		for _, client := range []string{"http2", "http1"} {
			if goal.Client != "" && goal.Client != client {
				continue
			}
			cell := r.Find(Key{Work: goal.Work, Client: client, Concurrency: goal.Concurrency, Target: "endpoint"})
			if cell == nil {
				continue
			}
			value, measured := cell.Values[goal.Metric]
			if !measured {
				continue
			}
			verdicts = append(verdicts, Verdict{Goal: goal, Client: client, Value: value, Met: goal.met(value)})
		}
	}
	return verdicts
}

func (g Goal) met(value float64) bool {
	if g.AtLeast {
		return value >= g.Bound
	}
	return value <= g.Bound
}

// String says whether the goal is met, or by how much not.
func (v Verdict) String() string {
	if v.Met {
		return "met"
	}
	missed := fmt.Sprintf("missed by %s", number(max(v.Value-v.Bound, v.Bound-v.Value)))
	if v.Bound != 0 {
		missed += fmt.Sprintf(" (%.0f %%)", 100*max(v.Value/v.Bound-1, 1-v.Value/v.Bound))
	}
	return missed
}
