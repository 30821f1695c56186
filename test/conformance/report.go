package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// Result is what became of one spec.
type Result struct {
	Passed bool
	// State is the suite's word for it, such as passed, failed or timedout.
	State string
	Took  time.Duration
	// Message says why it did not pass.
	Message string
}

// notRun is the state of a spec that the suite did not report.
const notRun = "not run"

// Results are those of one pass.
type Results map[Spec]Result

// suiteReport is what is read of a report in Ginkgo's JSON.
type suiteReport struct {
	SpecReports []specReport
}

type specReport struct {
	ContainerHierarchyTexts []string
	LeafNodeType            string
	LeafNodeText            string
	State                   string
	RunTime                 time.Duration
	Failure                 *struct{ Message string }
}

// readReport returns what a report says of specs. A spec of which it says nothing, and every
// spec where the suite's own start failed, is one that was not run, with the reason.
func readReport(path string, specs []Spec) (Results, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("report of the suite: %w", err)
	}
	var reports []suiteReport
	if err := json.Unmarshal(data, &reports); err != nil {
		return nil, fmt.Errorf("report of the suite %q: %w", path, err)
	}
	results := Results{}
	reason := "the suite knows no such spec"
	for _, report := range reports {
		for _, spec := range report.SpecReports {
			if spec.LeafNodeType != "It" {
				if spec.failed() {
					reason = spec.LeafNodeType + ": " + spec.message()
				}
				continue
			}
			results[spec.name()] = Result{
				Passed: spec.State == "passed", State: spec.State, Took: spec.RunTime, Message: spec.message(),
			}
		}
	}
	wanted := Results{}
	for _, spec := range specs {
		result, ok := results[spec]
		if !ok {
			result = Result{State: notRun, Message: reason}
		} else if result.State == "skipped" && result.Message == "" {
			result.Message = reason
		}
		wanted[spec] = result
	}
	return wanted, nil
}

func (r specReport) name() Spec {
	return Spec(strings.Join(append(r.ContainerHierarchyTexts, r.LeafNodeText), " "))
}

func (r specReport) failed() bool { return r.State != "passed" && r.State != "skipped" }

func (r specReport) message() string {
	if r.Failure == nil {
		return ""
	}
	return r.Failure.Message
}
