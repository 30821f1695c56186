package conformance

import (
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wantConformance is how many pass on simulated nodes; a list that shrinks hides a fault.
const wantConformance = 194

func TestSpecs(t *testing.T) {
	specs := Specs()
	conformance := 0
	for _, spec := range specs {
		if spec.Conformance() {
			conformance++
		}
	}
	if conformance < wantConformance {
		t.Errorf("%d conformance specs are listed, want at least %d", conformance, wantConformance)
	}
	for _, group := range []string{
		"client-go should negotiate watch", "Server request timeout", "API Streaming (aka. WatchList)",
		"ServerSideApply", "OpenAPIV3 should round trip", "Servers with support for API chunking",
	} {
		if len(Focus(specs, regexp.MustCompile(regexp.QuoteMeta(group)))) == 0 {
			t.Errorf("no spec of the group %q is listed", group)
		}
	}
	if !slices.IsSorted(specs) {
		t.Error("the list is not sorted")
	}
	for spec := range exceptions {
		if !slices.Contains(specs, spec) {
			t.Errorf("excepted spec %q is not listed", spec)
		}
	}
}

func TestParseSpecs(t *testing.T) {
	specs, err := ParseSpecs("# of the list\n\n  a [Conformance]\nb\n")
	if diff := cmp.Diff([]Spec{"a [Conformance]", "b"}, specs); err != nil || diff != "" {
		t.Errorf("got %v (-want +got):\n%s", err, diff)
	}
	if _, err := ParseSpecs("a\nb\na\n"); err == nil {
		t.Error("a name that is there twice is taken")
	}
}

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		name       string
		specs      []Spec
		processes  int
		parallel   [][]Spec
		wantSerial []Spec
	}{
		{name: "nothing", processes: 2, parallel: [][]Spec{}},
		{name: "fewer than processes", specs: []Spec{"a"}, processes: 3, parallel: [][]Spec{{"a"}}},
		{
			name: "serial apart", specs: []Spec{"a", "b [Serial]", "c"}, processes: 2,
			parallel: [][]Spec{{"a"}, {"c"}}, wantSerial: []Spec{"b [Serial]"},
		},
		{
			name: "a slow one is as long as many", specs: []Spec{"a", "b", "c [Slow]", "d"}, processes: 2,
			parallel: [][]Spec{{"c [Slow]"}, {"a", "b", "d"}},
		},
		{
			name: "two slow ones are not in one list", specs: []Spec{"a [Slow]", "b", "c [Slow]"}, processes: 2,
			parallel: [][]Spec{{"a [Slow]", "b"}, {"c [Slow]"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			parallel, serial := split(test.specs, test.processes)
			if diff := cmp.Diff(test.parallel, parallel); diff != "" {
				t.Errorf("parallel lists (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.wantSerial, serial); diff != "" {
				t.Errorf("serial list (-want +got):\n%s", diff)
			}
		})
	}
}
