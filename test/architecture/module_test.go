package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// module is the path of the Go module; root is where it lies, seen from this package.
const (
	module = "loft.sh/agent"
	root   = "../.."
)

// goPackage is what the rules need of the output of "go list -json".
type goPackage struct {
	Dir, ImportPath, Name string
	GoFiles               []string
	TestGoFiles           []string
	XTestGoFiles          []string
	Imports, Deps         []string
}

// path is the package's path within the module, such as "pkg/agent".
func (p goPackage) path() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// file is a file of the module by its path within it.
type file struct {
	path, content string
}

// output runs a program in the module's root and returns what it printed.
func output(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir = root
	var complaints strings.Builder
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		t.Fatalf("run %s: %v\n%s", command, err, &complaints)
	}
	return out
}

// listPackages returns every package of the module.
func listPackages(t *testing.T) []goPackage {
	t.Helper()
	var packages []goPackage
	decoder := json.NewDecoder(bytes.NewReader(output(t, "go", "list", "-json", "./...")))
	for {
		var p goPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatalf("decode the output of go list: %v", err)
		}
		packages = append(packages, p)
	}
}

// listFiles returns the files that git tracks or would track. Of a binary one only a zero byte is kept.
func listFiles(t *testing.T) []file {
	t.Helper()
	var files []file
	names := output(t, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed, and not yet committed
		}
		if err != nil {
			t.Fatalf("read a tracked file: %v", err)
		}
		if bytes.ContainsRune(content, 0) {
			content = []byte{0}
		}
		files = append(files, file{path: name, content: string(content)})
	}
	return files
}

// goFiles returns the Go files among files.
func goFiles(files []file) []file {
	var found []file
	for _, f := range files {
		if strings.HasSuffix(f.path, ".go") {
			found = append(found, f)
		}
	}
	return found
}

// report fails the test once for each violation.
func report(t *testing.T, violations []string) {
	t.Helper()
	for _, violation := range violations {
		t.Error(violation)
	}
}

// within says whether path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}
