// Package disk changes files that other processes read and write at the same time: under a lock that
// waits, and by replacement, so that a reader sees the old content or the new one and nothing else.
//
// What surprises: a lock is the operating system's (flock, LockFileEx) on a file of its own that
// stays. A process that is killed leaves no lock, and a lock file that lies about means nothing.
// A replacement is written beside its target, hidden, under one fixed name: what a killed process
// left of it is overwritten by the next. So callers of Replace must hold a lock.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// Lock waits until the lock file at path, which it makes if need be, is the caller's alone, or ctx
// ends. Closing the file ends the lock. What the file holds is up to the caller.
func Lock(ctx context.Context, path string) (*lockedfile.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("directory of a lock: %w", err)
	}
	type result struct {
		file *lockedfile.File
		err  error
	}
	locked := make(chan result)
	go func() {
		file, err := lockedfile.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		select {
		case locked <- result{file, err}:
		case <-ctx.Done():
			if err == nil {
				_ = file.Close() // nobody waits any more
			}
		}
	}()
	select {
	case r := <-locked:
		if r.err != nil {
			return nil, fmt.Errorf("lock: %w", r.err)
		}
		return r.file, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the lock %s: %w", path, ctx.Err())
	}
}

// Replace makes data the content of the file at path, at once or not at all. path is no symbolic
// link. The file keeps its owner where that is allowed, and gets mode.
func Replace(path string, data []byte, mode fs.FileMode) (err error) {
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".loft-new")
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("replace %s: %w", path, errors.Join(err, os.Remove(temporary)))
		}
	}()
	if err := fill(file, data, mode, path); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// fill writes file so that it can take the place of path.
func fill(file *os.File, data []byte, mode fs.FileMode, path string) (err error) {
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.Write(data); err != nil {
		return err
	}
	keepOwner(file, path)
	if err := file.Chmod(mode.Perm()); err != nil {
		return err
	}
	return file.Sync()
}
