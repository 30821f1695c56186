package conformance

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed specs.txt
var builtIn string

// Spec is the full name of a spec, as the suite's reports have it.
type Spec string

// Serial says whether the spec disturbs others that run beside it.
func (s Spec) Serial() bool { return strings.Contains(string(s), "[Serial]") }

// Conformance says whether the spec is one of those that make a cluster a conformant one.
func (s Spec) Conformance() bool { return strings.Contains(string(s), "[Conformance]") }

// slow specs take minutes, most of it waiting.
func (s Spec) slow() bool { return strings.Contains(string(s), "[Slow]") }

// Specs returns the specs that pass directly in a cluster without real nodes.
func Specs() []Spec {
	specs, err := ParseSpecs(builtIn)
	if err != nil {
		panic(err) // a test reads them too
	}
	return specs
}

// ParseSpecs reads one name a line; empty lines and lines that begin with # say nothing.
func ParseSpecs(text string) ([]Spec, error) {
	var specs []Spec
	for line := range strings.Lines(text) {
		spec := Spec(strings.TrimSpace(line))
		if spec == "" || strings.HasPrefix(string(spec), "#") {
			continue
		}
		if slices.Contains(specs, spec) {
			return nil, fmt.Errorf("spec %q is there twice", spec)
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// Focus returns the specs whose name matches.
func Focus(specs []Spec, pattern *regexp.Regexp) []Spec {
	var found []Spec
	for _, spec := range specs {
		if pattern.MatchString(string(spec)) {
			found = append(found, spec)
		}
	}
	return found
}

// What a spec takes, roughly; only the ratio matters.
const (
	slowSeconds  = 300
	quickSeconds = 5
)

// split returns up to processes lists that may run side by side and take about as long, and the
// list that runs after them.
func split(specs []Spec, processes int) (parallel [][]Spec, serial []Spec) {
	var slow, quick []Spec
	for _, spec := range specs {
		switch {
		case spec.Serial():
			serial = append(serial, spec)
		case spec.slow():
			slow = append(slow, spec)
		default:
			quick = append(quick, spec)
		}
	}
	count := min(processes, len(slow)+len(quick))
	parallel = make([][]Spec, count)
	seconds := make([]int, count)
	deal := func(specs []Spec, each int) {
		for _, spec := range specs {
			least := slices.Index(seconds, slices.Min(seconds))
			parallel[least] = append(parallel[least], spec)
			seconds[least] += each
		}
	}
	deal(slow, slowSeconds)
	deal(quick, quickSeconds)
	return parallel, serial
}
