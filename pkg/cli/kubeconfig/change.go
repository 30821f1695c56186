package kubeconfig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"loft.sh/agent/pkg/cli/failure"
)

// attempts bounds how often files are read again because others write them without our lock.
const attempts = 20

// Apply writes the entry, and makes it the current context if current is set. It returns the context
// that was current before.
func (f Files) Apply(ctx context.Context, e Entry, current bool) (previous string, err error) {
	return f.change(ctx, func(files []*kubefile) ([]*kubefile, error) {
		changed, err := place(files, e)
		if err != nil || !current {
			return changed, err
		}
		file, err := setCurrent(files, e.Name)
		return append(changed, file...), err
	})
}

// Use makes the context called name the current one. It returns the one before.
func (f Files) Use(ctx context.Context, name string) (previous string, err error) {
	return f.change(ctx, func(files []*kubefile) ([]*kubefile, error) {
		for _, file := range files {
			if file.config.Contexts[name] != nil {
				return setCurrent(files, name)
			}
		}
		return nil, fmt.Errorf("the context %q is no longer in the kubeconfig", name)
	})
}

// Remove takes the entry called name out, and unsets the current context if it is that.
func (f Files) Remove(ctx context.Context, name string) error {
	_, err := f.change(ctx, func(files []*kubefile) ([]*kubefile, error) {
		var changed []*kubefile
		for _, file := range files {
			if file.config.Contexts[name] == nil || foreign(file.config, name) != "" || !file.writable {
				continue
			}
			delete(file.config.Contexts, name)
			delete(file.config.Clusters, name)
			delete(file.config.AuthInfos, name)
			file.entry = name
			if file.config.CurrentContext == name {
				file.config.CurrentContext = ""
			}
			changed = append(changed, file)
		}
		return changed, nil
	})
	return err
}

// Current is the current context; empty: there is none.
func (f Files) Current() (string, error) {
	files, err := f.read()
	if err != nil {
		return "", err
	}
	return current(files), nil
}

func (f Files) read() ([]*kubefile, error) {
	files := make([]*kubefile, 0, len(f.paths))
	for _, path := range f.paths {
		file, err := read(path)
		if err != nil {
			return nil, err
		}
		// Two ways to one file are one.
		if !slices.ContainsFunc(files, func(other *kubefile) bool { return other.target == file.target }) {
			files = append(files, file)
		}
	}
	return files, nil
}

// change reads the files under their locks and writes those that edit names. Nothing is written where
// it fails.
func (f Files) change(ctx context.Context, edit func([]*kubefile) ([]*kubefile, error)) (previous string, err error) {
	unlock, err := f.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	for range attempts {
		files, err := f.read()
		if err != nil {
			return "", err
		}
		previous = current(files)
		changed, err := edit(files)
		if err != nil {
			return "", err
		}
		err = writeAll(changed)
		if !errors.Is(err, errChanged) {
			return previous, err
		}
	}
	return "", errors.New("the kubeconfig is written by something else all the time: try again")
}

var errChanged = errors.New("a file has changed since it was read")

// writeAll writes files, if none has changed since it was read.
func writeAll(files []*kubefile) error {
	for _, file := range files {
		if file.changed() {
			return errChanged
		}
	}
	written := map[string]bool{}
	for _, file := range files {
		if written[file.target] {
			continue
		}
		if err := file.write(); err != nil {
			return err
		}
		written[file.target] = true
	}
	return nil
}

func current(files []*kubefile) string {
	for _, file := range files {
		if file.config.CurrentContext != "" {
			return file.config.CurrentContext
		}
	}
	return ""
}

// place writes the entry where kubectl will read it.
func place(files []*kubefile, e Entry) ([]*kubefile, error) {
	for _, file := range files {
		if kind := foreign(file.config, e.Name); kind != "" {
			return nil, failure.Usagef("%s has a %s %q that loft did not write: choose another name with --context-name", file.path, kind, e.Name)
		}
	}
	into, says := home(files, func(f *kubefile) bool { return has(f.config, e.Name) })
	switch {
	case says != nil && !says.writable && same(says.config, e):
		return nil, nil
	case into == nil && says != nil:
		return nil, fmt.Errorf("%s is read-only and has another context %q: choose another name with --context-name, or put a file that can be written before it in $KUBECONFIG", says.path, e.Name)
	case into == nil:
		return nil, fmt.Errorf("no kubeconfig can be written (%s): add one to $KUBECONFIG, or use --print", describe(files))
	}
	put(into.config, e)
	into.entry = e.Name
	return []*kubefile{into}, nil
}

// setCurrent makes name the current context.
func setCurrent(files []*kubefile, name string) ([]*kubefile, error) {
	if current(files) == name {
		return nil, nil
	}
	into, says := home(files, func(f *kubefile) bool { return f.config.CurrentContext != "" })
	switch {
	case into == nil && says != nil:
		return nil, fmt.Errorf("the current context cannot be set, since %s is read-only and sets it: use --set-current=false and 'kubectl --context %s'", says.path, name)
	case into == nil:
		return nil, fmt.Errorf("no kubeconfig can be written (%s): add one to $KUBECONFIG, or use --print", describe(files))
	}
	into.config.CurrentContext = name
	return []*kubefile{into}, nil
}

// home is the file to say something in so that it counts, given what says it already: the first that
// does, says, or if that is read-only one that is read before it. nil: there is none.
func home(files []*kubefile, about func(*kubefile) bool) (into, says *kubefile) {
	for i, file := range files {
		if !about(file) {
			continue
		}
		if file.writable {
			return file, file
		}
		return fresh(files[:i]), file
	}
	return fresh(files), nil
}

// fresh is the file for what none says yet: as kubectl has it the first that is there, or else the
// last.
func fresh(files []*kubefile) *kubefile {
	var missing *kubefile
	for _, file := range files {
		if file.writable && file.exists {
			return file
		}
		if file.writable {
			missing = file
		}
	}
	return missing
}

// has says whether config has anything called name.
func has(config *clientcmdapi.Config, name string) bool {
	return config.Contexts[name] != nil || config.Clusters[name] != nil || config.AuthInfos[name] != nil
}

// same says whether config has the entry as it shall be.
func same(config *clientcmdapi.Config, e Entry) bool {
	if config.Clusters[e.Name] == nil || config.AuthInfos[e.Name] == nil || config.Contexts[e.Name] == nil {
		return false
	}
	want := clientcmdapi.NewConfig()
	put(want, e)
	got := clientcmdapi.NewConfig()
	got.Clusters[e.Name], got.AuthInfos[e.Name], got.Contexts[e.Name] = config.Clusters[e.Name], config.AuthInfos[e.Name], config.Contexts[e.Name]
	wanted, err := clientcmd.Write(*want)
	if err != nil {
		return false
	}
	is, err := clientcmd.Write(*got)
	return err == nil && bytes.Equal(wanted, is)
}

func describe(files []*kubefile) string {
	var texts []string
	for _, file := range files {
		texts = append(texts, file.path+" is read-only")
	}
	return strings.Join(texts, ", ")
}
