package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"loft.sh/agent/pkg/cli/disk"
)

const (
	// lockTimeout bounds the wait for other writers; each takes milliseconds.
	lockTimeout = 30 * time.Second
	// staleAfter is the age from which a lock of clientcmd is taken for one that a killed process
	// left: kubectl holds it for milliseconds.
	staleAfter = 10 * time.Second
	// lockPoll is how often a lock of clientcmd is looked at.
	lockPoll = 10 * time.Millisecond
)

// lock waits until no other process of this program writes one of the files, and kubectl does not
// either. Files are locked in one order, so that two that want the same do not wait for each other.
func (f Files) lock(ctx context.Context) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	var targets []string
	for _, path := range f.paths {
		to, err := target(path)
		if err != nil {
			return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
		}
		// Nobody writes where nobody may.
		if canMake(to) {
			targets = append(targets, to)
		}
	}
	slices.Sort(targets)
	var locks []interface{ Close() error }
	unlock = func() {
		for _, lock := range locks {
			_ = lock.Close()
		}
	}
	for _, to := range slices.Compact(targets) {
		lock, err := disk.Lock(ctx, lockPath(to))
		if err != nil {
			unlock()
			return nil, fmt.Errorf("kubeconfig: %w", err)
		}
		locks = append(locks, lock)
		if err := awaitKubectl(ctx, to, time.Now); err != nil {
			unlock()
			return nil, err
		}
	}
	return unlock, nil
}

// lockPath is our lock file for the kubeconfig at target. It is hidden, and stays.
func lockPath(target string) string {
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".loft-lock")
}

// awaitKubectl waits while clientcmd's lock on target is held, as far as can be told.
func awaitKubectl(ctx context.Context, target string, now func() time.Time) error {
	path := target + ".lock"
	err := wait.PollUntilContextCancel(ctx, lockPoll, true, func(context.Context) (bool, error) {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("kubeconfig: %w", err)
		}
		return now().Sub(info.ModTime()) > staleAfter, nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("kubeconfig: wait for kubectl's lock %s: %w", path, ctx.Err())
	}
	return err
}
