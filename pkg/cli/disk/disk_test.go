package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config")
	// What a killed process left is in nobody's way.
	if err := os.WriteFile(filepath.Join(dir, ".config.loft-new"), []byte("half"), 0o400); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"one", "two"} {
		if err := Replace(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("got %q, %v, want %q", got, err, content)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o640 {
		t.Errorf("mode %s, want 0640", info.Mode())
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// TestSymlinkInPlaceOfTheReplacement has somebody else, in a directory that all may write to, put a
// link where the replacement is written.
func TestSymlinkInPlaceOfTheReplacement(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(dir, ".config.loft-new")); err != nil {
		t.Fatal(err)
	}
	if err := Replace(filepath.Join(dir, "config"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != "mine" {
		t.Errorf("the link's target holds %q, %v", got, err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "lock")
	// The race detector does not know that the lock of a file orders anything.
	var holders atomic.Int32
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			lock, err := Lock(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			defer lock.Close()
			if n := holders.Add(1); n != 1 {
				t.Errorf("%d hold the lock", n)
			}
			holders.Add(-1)
		})
	}
	wait.Wait()
}

func TestLockEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if lock, err := Lock(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("got lock %v, error %v, want the context's", lock, err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	// The one that gave up must not keep the lock once it gets it.
	lock, err := Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
}
