//go:build unix

package controlplane

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// syncBuffer may be written to by several builds at once.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// smallBuild is a module with one program and one test.
func smallBuild(t *testing.T, source string) Build {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":       "module example.test/small\n\ngo 1.26.0\n",
		"go.sum":       "",
		"main.go":      source,
		"main_test.go": "package main\n\nimport \"testing\"\n\nfunc TestNothing(*testing.T) {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Build{
		Name:      "v1",
		ModuleDir: dir,
		Programs: []Program{
			{Name: "small", Package: "example.test/small"},
			{Name: "small.test", Package: "example.test/small", Test: true},
		},
		LDFlags:  "-X main.word=stamped",
		CacheDir: t.TempDir(),
	}
}

const smallSource = "package main\n\nvar word string\n\nfunc main() { println(word) }\n"

func TestBuildPrograms(t *testing.T) {
	t.Setenv("GOFLAGS", "-mod=vendor") // of the caller's own build: it must not matter
	build := smallBuild(t, smallSource)
	log := &syncBuffer{}
	build.Log = log
	dirs := make([]string, 3)
	var builders sync.WaitGroup
	for i := range dirs {
		builders.Go(func() {
			var err error
			if dirs[i], err = BuildPrograms(t.Context(), build); err != nil {
				t.Error(err)
			}
		})
	}
	builders.Wait()
	if t.Failed() {
		t.FailNow()
	}
	if dirs[0] != dirs[1] || dirs[0] != dirs[2] || filepath.Dir(dirs[0]) != build.CacheDir {
		t.Errorf("directories = %q", dirs)
	}
	if n := strings.Count(log.String(), "programs to build: 2"); n != 1 {
		t.Errorf("built %d times:\n%s", n, log)
	}
	out, err := exec.Command(filepath.Join(dirs[0], "small")).CombinedOutput()
	if err != nil || string(out) != "stamped\n" {
		t.Errorf("small said %q, %v", out, err)
	}
	out, err = exec.Command(filepath.Join(dirs[0], "small.test")).CombinedOutput()
	if err != nil || string(out) != "PASS\n" {
		t.Errorf("small.test said %q, %v", out, err)
	}

	build.LDFlags = "-X main.word=other"
	other, err := BuildPrograms(t.Context(), build)
	if err != nil {
		t.Fatal(err)
	}
	if other == dirs[0] {
		t.Error("other flags led to the same directory")
	}
}

func TestBuildProgramsFails(t *testing.T) {
	build := smallBuild(t, "package main\n\nfunc main() { undefinedFunction() }\n")
	_, err := BuildPrograms(t.Context(), build)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"build small: go build in " + build.ModuleDir, "exit status 1", "undefined: undefinedFunction"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

// TestProgressCountsPackages compiles a source that no build cache has seen.
func TestProgressCountsPackages(t *testing.T) {
	build := smallBuild(t, smallSource+"// "+t.TempDir()+time.Now().String()+"\n")
	p := startProgress(&syncBuffer{}, 1, time.Hour)
	p.next("small", countPackages(t.Context(), build.ModuleDir, build.Programs[0]))
	if err := build.compile(t.Context(), build.Programs[0], t.TempDir(), p); err != nil {
		t.Fatal(err)
	}
	p.end()
	if p.done != 1 || p.packages < 2 {
		t.Errorf("progress: %s", p.line())
	}
}

func TestLockWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(t.Context(), path, &syncBuffer{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	log := &syncBuffer{}
	if _, err := lock(ctx, path, log); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error of the second = %v", err)
	}
	if want := "waiting for another process"; !strings.Contains(log.String(), want) {
		t.Errorf("log = %q, want %q", log, want)
	}
	unlock()
	unlock, err = lock(t.Context(), path, log)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestProgress(t *testing.T) {
	log := &syncBuffer{}
	p := startProgress(log, 4, time.Millisecond)
	p.next("etcd", 7)
	p.next("kube-apiserver", 1204)
	for range 3 {
		p.built()
	}
	eventually(t, "line", func() bool {
		return strings.Contains(log.String(), "building kube-apiserver (2 of 4): 3 of 1,204 packages, 0s\n")
	})
	p.end()
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 812: "812", 1204: "1,204", 100000: "100,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestFindModule(t *testing.T) {
	root, err := ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	found, ok := findModule(filepath.Join(root, "test", "controlplane", "binaries"))
	if !ok || found != root {
		t.Errorf("from the inner module: %q, %t, want %q", found, ok, root)
	}
	if found, ok := findModule(t.TempDir()); ok {
		t.Errorf("from elsewhere: %q", found)
	}
}
