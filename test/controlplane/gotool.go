package controlplane

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

const rootModule = "loft.sh/agent"

// ModuleRoot returns the directory of the module loft.sh/agent: the nearest one above the
// working directory, or the one that this file was compiled from.
func ModuleRoot() (string, error) {
	starts := make([]string, 0, 2)
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	if _, file, _, ok := runtime.Caller(0); ok {
		starts = append(starts, filepath.Dir(file))
	}
	for _, start := range starts {
		if root, ok := findModule(start); ok {
			return root, nil
		}
	}
	return "", fmt.Errorf("no source of module %s at or above %s", rootModule, strings.Join(starts, " or "))
}

// findModule walks up from dir. Modules inside the root module are passed by.
func findModule(dir string) (string, bool) {
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && modulePath(content) == rootModule {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}

func modulePath(goMod []byte) string {
	for line := range strings.Lines(string(goMod)) {
		if path, ok := strings.CutPrefix(line, "module "); ok {
			return strings.Trim(strings.TrimSpace(path), `"`)
		}
	}
	return ""
}

// goCommand runs in dir and in the module there alone: neither a workspace nor flags meant
// for the caller's own build apply to it.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	return cmd
}

// countPackages returns how many packages a program is made of, or 0 where that cannot be
// told: it serves the progress alone, and the build itself gives the better error. For a test
// program it cannot: its build does not name the packages, since -v of go test means another thing.
func countPackages(ctx context.Context, dir string, program Program) int {
	if program.Test {
		return 0
	}
	out, err := goCommand(ctx, dir, "list", "-deps", program.Package).Output()
	if err != nil {
		return 0
	}
	return bytes.Count(out, []byte("\n"))
}

// runGo hands every line of go's stderr to the progress; what is not the name of a
// package goes into the error.
func runGo(ctx context.Context, dir string, progress *progress, args ...string) error {
	cmd := goCommand(ctx, dir, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("read output of go: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go: %w", err)
	}
	var said []string
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		line := lines.Text()
		if strings.ContainsAny(line, " \t:") {
			said = append(said, line)
			continue
		}
		progress.built()
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("go %s in %s: %w\n%s", args[0], dir, err, lastLines(strings.Join(said, "\n"), tailLines))
	}
	return nil
}
