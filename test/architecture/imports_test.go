package architecture

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// areas are the parts of the module from top to bottom. A package may import its own area
// and those of a greater depth; so the programs and the three products at one depth do not
// import each other. The first area that a package lies within counts.
var areas = []struct {
	path  string
	depth int
}{
	{"test", 0},
	{"cmd", 1},
	{"pkg/agent", 2},
	{"pkg/manager", 2},
	{"pkg/cli", 2},
	{"pkg", 3}, // proxy, identity, accesstoken, …: shared by the products
	{"artifacts", 4},
	{"generated", 4},
	{"apis", 5},
}

// area finds the area of a package and its depth.
func area(path string) (name string, depth int, found bool) {
	for _, a := range areas {
		if within(path, a.path) {
			return a.path, a.depth, true
		}
	}
	return "", 0, false
}

// upwardImports finds imports against the direction of areas.
func upwardImports(packages []goPackage) []string {
	var violations []string
	for _, p := range packages {
		from, fromDepth, found := area(p.path())
		if !found {
			violations = append(violations, fmt.Sprintf("%s: lies in no known part of the tree; add it to areas or move it", p.path()))
			continue
		}
		for _, imported := range p.Imports {
			to, isOurs := strings.CutPrefix(imported, module+"/")
			if !isOurs {
				continue
			}
			toArea, toDepth, _ := area(to)
			if toArea != from && toDepth <= fromDepth {
				violations = append(violations, fmt.Sprintf("%s: imports %s, but imports point down only: %s is not below %s", p.path(), to, toArea, from))
			}
		}
	}
	return violations
}

// testImports finds imports of test code by the product. They are against the direction of
// areas too, but deserve a message of their own.
func testImports(packages []goPackage) []string {
	var violations []string
	for _, p := range packages {
		if within(p.path(), "test") {
			continue
		}
		for _, imported := range p.Imports {
			if within(imported, module+"/test") {
				violations = append(violations, fmt.Sprintf("%s: imports %s, but the product must build without its tests", p.path(), imported))
			}
		}
	}
	return violations
}

// serverInCLI finds packages of the command line that need the API server's library,
// themselves or through another package.
func serverInCLI(packages []goPackage) []string {
	var violations []string
	for _, p := range packages {
		if !within(p.path(), "pkg/cli") && p.path() != "cmd/loft" {
			continue
		}
		i := slices.IndexFunc(p.Deps, func(d string) bool { return within(d, "k8s.io/apiserver") })
		if i >= 0 {
			violations = append(violations, fmt.Sprintf("%s: depends on %s, but the command line is a client alone; `go list -deps` shows the way", p.path(), p.Deps[i]))
		}
	}
	return violations
}

// emptyNames are names of packages that say nothing of what is inside.
var emptyNames = []string{"util", "utils", "common", "helpers", "types", "misc"}

// misnamed finds packages that are not named as their folder, or say nothing by their name.
func misnamed(packages []goPackage) []string {
	var violations []string
	for _, p := range packages {
		folder := path.Base(p.ImportPath)
		if p.Name != "main" && p.Name != folder && p.Name != folder+"_test" {
			violations = append(violations, fmt.Sprintf("%s: is named %s; a package is named as its folder", p.path(), p.Name))
		}
		if slices.Contains(emptyNames, folder) {
			violations = append(violations, fmt.Sprintf("%s: a package is named for what it holds, not %s", p.path(), folder))
		}
	}
	return violations
}

var packageRules = map[string]func([]goPackage) []string{
	"imports point down only":               upwardImports,
	"the product does not import test":      testImports,
	"the command line has no server inside": serverInCLI,
	"packages are named as their folder":    misnamed,
}

// TestPackages holds the module to the rules.
func TestPackages(t *testing.T) {
	all := listPackages(t)
	products := slices.DeleteFunc(slices.Clone(all), func(p goPackage) bool { return within(p.path(), "generated") })
	for name, rule := range packageRules {
		t.Run(name, func(t *testing.T) { report(t, rule(products)) })
	}
}

// TestPackageRules shows each rule what it must find, and what it must let pass.
func TestPackageRules(t *testing.T) {
	pkg := func(path string, imports ...string) goPackage {
		return goPackage{ImportPath: module + "/" + path, Name: path[strings.LastIndex(path, "/")+1:], Imports: imports, Deps: imports}
	}
	tests := []struct {
		name    string
		rule    string
		example goPackage
		want    bool
	}{
		{"shared imports product", "imports point down only", pkg("pkg/proxy", module+"/pkg/agent/direct"), true},
		{"product imports product", "imports point down only", pkg("pkg/agent", module+"/pkg/manager"), true},
		{"product imports program", "imports point down only", pkg("pkg/cli", module+"/cmd/loft"), true},
		{"types import what is generated", "imports point down only", pkg("apis/cluster/v1", module+"/generated/openapi"), true},
		{"unknown part", "imports point down only", pkg("internal/x"), true},
		{"product imports shared", "imports point down only", pkg("pkg/agent/direct", module+"/pkg/proxy", "fmt"), false},
		{"own area", "imports point down only", pkg("pkg/agent", module+"/pkg/agent/direct"), false},
		{"product imports test", "the product does not import test", pkg("pkg/agent", module+"/test/controlplane"), true},
		{"test imports test", "the product does not import test", pkg("test/e2e", module+"/test/controlplane"), false},
		{"server in the command line", "the command line has no server inside", pkg("pkg/cli/session", "k8s.io/apiserver/pkg/server"), true},
		{"server in loft", "the command line has no server inside", pkg("cmd/loft", "k8s.io/apiserver/pkg/server"), true},
		{"server in the agent", "the command line has no server inside", pkg("cmd/loft-agent", "k8s.io/apiserver/pkg/server"), false},
		{"another name", "packages are named as their folder", goPackage{ImportPath: module + "/pkg/proxy", Name: "forward"}, true},
		{"empty name", "packages are named as their folder", pkg("pkg/util"), true},
		{"program", "packages are named as their folder", goPackage{ImportPath: module + "/cmd/loft", Name: "main"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := packageRules[tt.rule]([]goPackage{tt.example})
			if found := len(got) > 0; found != tt.want {
				t.Errorf("violation found: %t, want %t: %q", found, tt.want, got)
			}
		})
	}
}
