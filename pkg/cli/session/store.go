package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"loft.sh/agent/pkg/cli/disk"
	"loft.sh/agent/pkg/cli/failure"
)

// lockTimeout bounds the wait for others that change the file; each takes milliseconds.
const lockTimeout = 10 * time.Second

// Store is a config file.
type Store struct {
	path    string
	keyring keyring
}

// Open returns the store at path; empty: $LOFT_CONFIG or ~/.loft/config.json. It touches no file.
func Open(path string) (*Store, error) {
	if path == "" {
		path = os.Getenv("LOFT_CONFIG")
	}
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, failure.Usagef("--config: required, since there is no home directory: %w", err)
		}
		path = filepath.Join(home, ".loft", "config.json")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	return &Store{path: path, keyring: desktop{}}, nil
}

// Path is the absolute path of the file.
func (s *Store) Path() string { return s.path }

// LockPath is the path of a lock file of the store, for what name says.
func (s *Store) LockPath(name string) string { return s.path + "." + name + ".lock" }

func (s *Store) read() (*document, error) {
	data, err := os.ReadFile(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the config file: %w", err)
	}
	return parse(s.path, data)
}

// update changes the file under its lock. Nothing is written where change fails.
func (s *Store) update(ctx context.Context, change func(*document) error) error {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	lock, err := disk.Lock(ctx, s.LockPath("write"))
	if err != nil {
		return fmt.Errorf("the config file: %w", err)
	}
	defer lock.Close()
	d, err := s.read()
	if err != nil {
		return err
	}
	if err := change(d); err != nil {
		return err
	}
	data, err := d.content()
	if err != nil {
		return err
	}
	// A config file that is a link, as people keep their dot files elsewhere, stays one.
	path, err := filepath.EvalSymlinks(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		path, err = s.path, nil
	}
	if err == nil {
		err = disk.Replace(path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("the config file: %w", err)
	}
	return nil
}

// PreviousContext is the kube context that was current before the last SetPreviousContext; empty:
// not known.
func (s *Store) PreviousContext() (string, error) {
	d, err := s.read()
	if err != nil {
		return "", err
	}
	return d.PreviousContext, nil
}

// SetPreviousContext remembers the kube context to go back to.
func (s *Store) SetPreviousContext(ctx context.Context, name string) error {
	return s.update(ctx, func(d *document) error {
		d.PreviousContext = name
		return nil
	})
}
