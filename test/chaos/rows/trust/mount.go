package trust

import (
	"fmt"
	"os"
	"path/filepath"
)

// mount is a directory as a kubelet mounts a Secret: the files are links through one link, which is
// replaced, so that all of them change at once.
type mount struct {
	dir  string
	next int
}

const current = "..data"

// write puts files in place of what is there.
func (m *mount) write(files map[string][]byte) error {
	m.next++
	version := fmt.Sprintf("..%d", m.next)
	if err := os.MkdirAll(filepath.Join(m.dir, version), 0o700); err != nil {
		return fmt.Errorf("mounted files: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(m.dir, version, name), content, 0o600); err != nil {
			return fmt.Errorf("mounted files: %w", err)
		}
		link := filepath.Join(m.dir, name)
		if _, err := os.Lstat(link); err == nil {
			continue
		}
		if err := os.Symlink(filepath.Join(current, name), link); err != nil {
			return fmt.Errorf("mounted files: %w", err)
		}
	}
	link := filepath.Join(m.dir, current)
	before, _ := os.Readlink(link)
	if err := os.Symlink(version, link+"_new"); err != nil {
		return fmt.Errorf("mounted files: %w", err)
	}
	if err := os.Rename(link+"_new", link); err != nil {
		return fmt.Errorf("mounted files: %w", err)
	}
	if before == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(m.dir, before))
}
