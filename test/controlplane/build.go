package controlplane

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Build is a set of programs that one Go module pins.
type Build struct {
	// Name is the first part of the cache directory's name, such as "v1.37.2".
	Name string
	// ModuleDir holds the go.mod and go.sum that pin the programs.
	ModuleDir string
	Programs  []Program
	LDFlags   string
	// CacheDir is where the programs are kept; the default is
	// loft-agent/controlplane in the user's cache directory.
	CacheDir string
	// Log takes the progress; nil means silence.
	Log io.Writer
}

// Program is one program of a [Build].
type Program struct {
	// Name is the file name of the result.
	Name string
	// Package is the import path of the main package, or of the package under test.
	Package string
	// Test builds the package's tests (go test -c) rather than a main package.
	Test bool
}

// BuildPrograms compiles the programs that are not in the cache yet and returns the directory
// that holds them all under their names. Changing go.mod, go.sum, the flags or the platform
// changes the directory. Processes that build the same wait for each other.
func BuildPrograms(ctx context.Context, build Build) (string, error) {
	dir, err := build.dir()
	if err != nil {
		return "", err
	}
	if len(build.missing(dir)) == 0 {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make cache directory: %w", err)
	}
	log := build.Log
	if log == nil {
		log = io.Discard
	}
	unlock, err := lock(ctx, filepath.Join(dir, ".lock"), log)
	if err != nil {
		return "", err
	}
	defer unlock()
	missing := build.missing(dir) // asked again: another process may have built them meanwhile
	if len(missing) == 0 {
		return dir, nil
	}
	return dir, build.compileAll(ctx, missing, dir, log)
}

func (b Build) compileAll(ctx context.Context, programs []Program, dir string, log io.Writer) error {
	fmt.Fprintf(log, "programs to build: %d, into %s; the first time takes minutes\n", len(programs), dir)
	progress := startProgress(log, len(programs), progressInterval)
	defer progress.end()
	for _, program := range programs {
		progress.next(program.Name, countPackages(ctx, b.ModuleDir, program))
		if err := b.compile(ctx, program, dir, progress); err != nil {
			return fmt.Errorf("build %s: %w", program.Name, err)
		}
	}
	return nil
}

// dir names the cache directory after everything that decides about the result but the
// toolchain: another one is no reason to compile for minutes.
func (b Build) dir() (string, error) {
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(b.ModuleDir, name))
		if err != nil {
			return "", fmt.Errorf("read versions of the programs: %w", err)
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(content), content)
	}
	fmt.Fprintf(sum, "%s/%s %s", runtime.GOOS, runtime.GOARCH, b.LDFlags)
	cache := b.CacheDir
	if cache == "" {
		userCache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find cache directory: %w", err)
		}
		cache = filepath.Join(userCache, "loft-agent", "controlplane")
	}
	return filepath.Join(cache, fmt.Sprintf("%s-%.6x", b.Name, sum.Sum(nil))), nil
}

// missing returns the programs that are not in dir. A file that is there is whole, since
// it is renamed into place.
func (b Build) missing(dir string) []Program {
	var missing []Program
	for _, program := range b.Programs {
		if _, err := os.Stat(filepath.Join(dir, program.Name)); err != nil {
			missing = append(missing, program)
		}
	}
	return missing
}

// compile builds one program under a temporary name and renames it.
func (b Build) compile(ctx context.Context, program Program, dir string, progress *progress) error {
	temporary := filepath.Join(dir, fmt.Sprintf(".%s.%d", program.Name, os.Getpid()))
	defer os.Remove(temporary)
	args := []string{"build", "-v"}
	if program.Test {
		args = []string{"test", "-c", "-vet=off"}
	}
	args = append(args, "-ldflags", b.LDFlags, "-o", temporary, program.Package)
	if err := runGo(ctx, b.ModuleDir, progress, args...); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, program.Name)); err != nil {
		return fmt.Errorf("put into the cache: %w", err)
	}
	return nil
}

// lock waits for an exclusive lock on a file. The lock ends with its process, so a killed
// build never blocks the next one.
func lock(ctx context.Context, path string, log io.Writer) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open build lock: %w", err)
	}
	said := false
	err = wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(context.Context) (bool, error) {
		locked, err := tryLock(file)
		if !locked && err == nil && !said {
			said = true
			fmt.Fprintln(log, "waiting for another process that builds the same programs")
		}
		return locked, err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take build lock %q: %w", path, err), file.Close())
	}
	return func() { file.Close() }, nil
}
