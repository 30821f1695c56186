package chaos

import (
	"context"
	"fmt"
	"time"
)

// Row is one fault under load.
type Row struct {
	// Name is how --rows finds it.
	Name string
	// Fault says what happens, and under which load.
	Fault string
	// Quick says that the short form ends within seconds; the tests run those.
	Quick bool
	// Alone says that the row breaks what all rows share: no other runs beside it.
	Alone bool
	// Run does it. An error means that nothing can be said; a promise that was not kept is a
	// check that was missed.
	Run func(ctx context.Context, env *Env) (*Result, error)
}

// Check is one promise: what was seen, and what is allowed.
type Check struct {
	What   string `json:"what"`
	Figure string `json:"figure"`
	Bound  string `json:"bound"`
	Held   bool   `json:"held"`
	// Detail says more about one that was missed.
	Detail string `json:"detail,omitempty"`
}

// Result of a row.
type Result struct {
	Checks []Check
	// Notes are for people: what a client was shown, and what else was seen.
	Notes []string
}

// Hold adds a check with a figure of any kind; detail is kept where it was missed.
func (r *Result) Hold(held bool, what, figure, bound, detail string) {
	if held {
		detail = ""
	}
	r.Checks = append(r.Checks, Check{What: what, Figure: figure, Bound: bound, Held: held, Detail: detail})
}

// None checks that something did not happen.
func (r *Result) None(what string, count int, detail string) {
	r.Hold(count == 0, what, fmt.Sprint(count), "0", detail)
}

// Within checks that something took no longer than bound.
func (r *Result) Within(what string, took, bound time.Duration) {
	r.Hold(took <= bound, what, took.Round(time.Millisecond).String(), "≤ "+bound.String(), "")
}

// AtMost checks a number against an upper bound, such as goroutines or MiB.
func (r *Result) AtMost(what string, got, bound float64, unit string) {
	r.Hold(got <= bound, what, fmt.Sprintf("%.4g%s", got, unit), fmt.Sprintf("≤ %.4g%s", bound, unit), "")
}

// AtLeast checks a number against a lower bound; a row that saw too little shows nothing.
func (r *Result) AtLeast(what string, got, bound float64, unit string) {
	r.Hold(got >= bound, what, fmt.Sprintf("%.4g%s", got, unit), fmt.Sprintf("≥ %.4g%s", bound, unit), "")
}

// Note adds a line for people.
func (r *Result) Note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// held says whether every promise was kept.
func (r *Result) held() bool {
	for _, check := range r.Checks {
		if !check.Held {
			return false
		}
	}
	return true
}
