package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Verdict on a row.
type Verdict string

// The verdicts. A row that is Broken could not be run to its end, and shows nothing.
const (
	Held   Verdict = "held"
	Missed Verdict = "missed"
	Broken Verdict = "broken"
)

// Outcome is what came of a row.
type Outcome struct {
	Row     string   `json:"row"`
	Fault   string   `json:"fault"`
	Verdict Verdict  `json:"verdict"`
	Seconds float64  `json:"seconds"`
	Checks  []Check  `json:"checks"`
	Notes   []string `json:"notes,omitempty"`
	Error   string   `json:"error,omitempty"`
}

func newOutcome(row Row, result *Result, err error, took time.Duration) Outcome {
	o := Outcome{Row: row.Name, Fault: row.Fault, Seconds: took.Seconds(), Verdict: Held}
	if result == nil {
		result = &Result{}
	}
	o.Checks, o.Notes = result.Checks, result.Notes
	switch {
	case err != nil:
		o.Verdict, o.Error = Broken, err.Error()
	case len(result.Checks) == 0:
		o.Verdict, o.Error = Broken, "nothing was checked"
	case !result.held():
		o.Verdict = Missed
	}
	return o
}

// AllHeld says whether every row kept its promises.
func AllHeld(outcomes []Outcome) bool {
	for _, o := range outcomes {
		if o.Verdict != Held {
			return false
		}
	}
	return true
}

// WriteJSON writes outcomes for machines.
func WriteJSON(w io.Writer, outcomes []Outcome) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(map[string]any{"rows": outcomes}); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// WriteTable writes outcomes for people: a line a check, then what was noted.
func WriteTable(w io.Writer, outcomes []Outcome) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "ROW\tWHAT\tFIGURE\tBOUND\tVERDICT")
	for _, o := range outcomes {
		_, _ = fmt.Fprintf(table, "%s\t\t%.0f s\t\t%s\n", o.Row, o.Seconds, o.Verdict)
		for _, c := range o.Checks {
			verdict := Held
			if !c.Held {
				verdict = Missed
			}
			_, _ = fmt.Fprintf(table, "\t%s\t%s\t%s\t%s\n", c.What, c.Figure, c.Bound, verdict)
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	for _, o := range outcomes {
		writeNotes(w, o)
	}
	return nil
}

func writeNotes(w io.Writer, o Outcome) {
	if o.Error != "" {
		_, _ = fmt.Fprintf(w, "\n%s: %s\n", o.Row, o.Error)
	}
	for _, c := range o.Checks {
		if c.Detail != "" {
			_, _ = fmt.Fprintf(w, "\n%s: %s:\n%s\n", o.Row, c.What, c.Detail)
		}
	}
	for _, note := range o.Notes {
		_, _ = fmt.Fprintf(w, "\n%s: %s\n", o.Row, note)
	}
}
