package conformance

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// exceptions are the specs that no impersonating proxy below a path can pass, each with the reason.
var exceptions = map[Spec]string{
	"[sig-cli] Kubectl client Proxy server should support proxy with --port 0 [Conformance]": "kubectl proxy leaves out " +
		"the path of the server's URL unless it is called with --append-server-path, and the spec calls it without.",
}

// Comparison is what two passes come to.
type Comparison struct {
	// Same is how many specs ended alike.
	Same int
	// Different ended differently, without an excuse.
	Different []Spec
	// Excepted ended differently, as exceptions says they must.
	Excepted []Spec
	// Stale are exceptions that passed both ways: there is nothing to except any more.
	Stale []Spec
	// Broken failed both ways, though specs.txt says that they pass directly.
	Broken []Spec
}

// compare looks at every spec of the direct pass.
func compare(direct, endpoint Results, excepted map[Spec]string) Comparison {
	var c Comparison
	for _, spec := range slices.Sorted(maps.Keys(direct)) {
		d, e := direct[spec], endpoint[spec]
		_, mayDiffer := excepted[spec]
		switch {
		case d.Passed != e.Passed && mayDiffer:
			c.Excepted = append(c.Excepted, spec)
		case d.Passed != e.Passed:
			c.Different = append(c.Different, spec)
		case !d.Passed:
			c.Broken = append(c.Broken, spec)
		case mayDiffer:
			c.Stale = append(c.Stale, spec)
		default:
			c.Same++
		}
	}
	return c
}

// Err says what is wrong, or nil.
func (c Comparison) Err() error {
	var wrong []string
	for _, w := range []struct {
		specs []Spec
		what  string
	}{
		{c.Different, "differ"},
		{c.Broken, "fail both ways"},
		{c.Stale, "are excepted and pass"},
	} {
		if len(w.specs) > 0 {
			wrong = append(wrong, fmt.Sprintf("%d specs %s", len(w.specs), w.what))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("conformance: %s", strings.Join(wrong, ", "))
}

// writeList writes one line a spec.
func writeList(w io.Writer, name string, results Results) {
	passed, failed := results.count()
	fmt.Fprintf(w, "\n== %s: %d passed, %d did not\n", name, passed, failed)
	for _, spec := range slices.Sorted(maps.Keys(results)) {
		result := results[spec]
		word := "pass"
		if !result.Passed {
			word = "FAIL"
		}
		fmt.Fprintf(w, "%s %7.1fs  %s\n", word, result.Took.Seconds(), spec)
	}
}

// write writes the difference and, for what ended badly, why.
func (c Comparison) write(w io.Writer, direct, endpoint Results) {
	fmt.Fprintf(w, "\n== difference: %d specs (%d end alike)\n", len(c.Different), c.Same)
	show := func(what string, specs []Spec) {
		for _, spec := range specs {
			fmt.Fprintf(w, "%s: %s\n", what, spec)
			showResult(w, "direct", direct[spec])
			showResult(w, "endpoint", endpoint[spec])
		}
	}
	show("differs", c.Different)
	show("fails both ways", c.Broken)
	for _, spec := range c.Excepted {
		fmt.Fprintf(w, "excepted: %s\n    %s\n", spec, exceptions[spec])
	}
	for _, spec := range c.Stale {
		fmt.Fprintf(w, "excepted without need: %s\n", spec)
	}
}

func showResult(w io.Writer, way string, result Result) {
	fmt.Fprintf(w, "    %s: %s after %.1fs\n", way, result.State, result.Took.Seconds())
	for line := range strings.Lines(result.Message) {
		fmt.Fprintf(w, "        %s\n", strings.TrimRight(line, "\n"))
	}
}
