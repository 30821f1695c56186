// Package doctor examines the way from this machine to the manager and to direct endpoints, and says
// of each part whether it is as it should be and what to do where it is not.
//
// An examination is a list of steps in the order in which a request meets them. A step that fails so
// that no later one can succeed ends its list: one cause, one line.
//
// What surprises: streams are tried with what every cluster has, a watch of a namespace that does not
// exist and the opening of a port-forward that carries nothing, so that nothing is changed. They need
// permission for that much; without it the line says so.
package doctor

import (
	"context"
	"time"
)

// Status is what a step found.
type Status string

const (
	// OK is as it should be.
	OK Status = "ok"
	// Warning works, or could not be checked.
	Warning Status = "warning"
	// Failed does not work.
	Failed Status = "failed"
)

// Finding is a line of the report.
type Finding struct {
	// Subject is "manager" or a cluster's name.
	Subject string `json:"subject"`
	// Check is what was looked at, in a word.
	Check string `json:"check"`
	// Status is what was found.
	Status Status `json:"status"`
	// Message says it in words.
	Message string `json:"message"`
	// Advice says what to do; empty where nothing is to be done.
	Advice string `json:"advice,omitempty"`
}

// Report is all findings.
type Report struct {
	// Findings are in the order of the examination.
	Findings []Finding `json:"findings"`
}

// Failed says whether anything does not work.
func (r *Report) Failed() bool {
	for _, f := range r.Findings {
		if f.Status == Failed {
			return true
		}
	}
	return false
}

// step looks at one thing in T.
type step[T any] struct {
	check string
	run   func(ctx context.Context, subject T) Finding
	// fatal says that nothing behind can succeed where this fails.
	fatal bool
}

// examine runs steps and tells of each finding as it comes.
func examine[T any](ctx context.Context, name string, subject T, steps []step[T], tell func(Finding)) {
	for _, s := range steps {
		if ctx.Err() != nil {
			return
		}
		f := s.run(ctx, subject)
		f.Subject, f.Check = name, s.check
		tell(f)
		if s.fatal && f.Status == Failed {
			return
		}
	}
}

func ok(message string) Finding { return Finding{Status: OK, Message: message} }

func warning(message, advice string) Finding {
	return Finding{Status: Warning, Message: message, Advice: advice}
}

func failed(message, advice string) Finding {
	return Finding{Status: Failed, Message: message, Advice: advice}
}

// expiring is how long before its end a certificate is worth a warning.
const expiring = 14 * 24 * time.Hour
