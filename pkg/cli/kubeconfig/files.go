package kubeconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"loft.sh/agent/pkg/cli/disk"
)

// Files are the kubeconfigs that kubectl merges, the first to say something first.
type Files struct {
	paths []string
}

// Find returns the files that kubectl would read: explicit, or those of $KUBECONFIG, or the one in
// the home directory.
func Find(explicit string) Files {
	options := clientcmd.NewDefaultPathOptions()
	options.LoadingRules.ExplicitPath = explicit
	var files Files
	for _, path := range options.GetLoadingPrecedence() {
		if path != "" {
			files.paths = append(files.paths, path)
		}
	}
	return files
}

// kubefile is one kubeconfig as it was read.
type kubefile struct {
	// path is as $KUBECONFIG says; target is the file itself, behind links.
	path, target string
	exists       bool
	mode         fs.FileMode
	writable     bool
	content      []byte
	config       *clientcmdapi.Config
	// entry is the name of the stanzas that were changed; empty: none were.
	entry string
}

// target is where path leads, behind links; also where nothing is there yet.
func target(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for range 40 { // as many as Linux follows
		link, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(path), link)
		}
		path = link
	}
	// A directory on the way may be a link, too.
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(dir, filepath.Base(path))
	}
	return path, nil
}

// read reads the file at path. One that is not there is empty; one that cannot be parsed is an error.
func read(path string) (*kubefile, error) {
	to, err := target(path)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", path, err)
	}
	f := &kubefile{path: path, target: to, mode: 0o600, config: clientcmdapi.NewConfig()}
	f.content, err = os.ReadFile(to)
	if errors.Is(err, fs.ErrNotExist) {
		f.writable = canMake(to)
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	info, err := os.Stat(to)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	f.exists, f.mode = true, info.Mode().Perm()
	f.writable = disk.Writable(to) && disk.DirectoryWritable(filepath.Dir(to))
	if f.config, err = clientcmd.Load(f.content); err != nil {
		return nil, fmt.Errorf("kubeconfig %s cannot be parsed, and nothing is written: mend it, or leave it out of $KUBECONFIG: %w", path, err)
	}
	return f, nil
}

// canMake says whether a file can be made at path, with its directories.
func canMake(path string) bool {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		_, err := os.Stat(dir)
		if err == nil {
			return disk.DirectoryWritable(dir)
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return false
		}
	}
}

// changed says whether the file is no longer as it was read.
func (f *kubefile) changed() bool {
	now, err := os.ReadFile(f.target)
	if errors.Is(err, fs.ErrNotExist) {
		return f.exists
	}
	return err != nil || !f.exists || !bytes.Equal(now, f.content)
}

// write makes config the content of the file.
func (f *kubefile) write() error {
	data, spliced := splice(f.content, f.config, f.entry)
	if !spliced {
		var err error
		if data, err = clientcmd.Write(*f.config); err != nil {
			return fmt.Errorf("encode kubeconfig %s: %w", f.path, err)
		}
	}
	if bytes.Equal(data, f.content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(f.target), 0o700); err != nil {
		return fmt.Errorf("kubeconfig %s: %w", f.path, err)
	}
	if err := disk.Replace(f.target, data, f.mode); err != nil {
		return fmt.Errorf("kubeconfig: %w", err)
	}
	return nil
}
