package controlplane

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Options says what [Start] starts. The zero value is a control plane without controller
// manager in a temporary directory.
type Options struct {
	// Name tells control planes apart in the log, in temporary directories and as the
	// context of the kubeconfig; the default is "controlplane".
	Name string
	// Dir keeps data, keys and logs, and with them the identity and content of the cluster
	// when it is started there again. The default is a temporary directory that Stop removes.
	Dir string
	// Log takes what is built and started; nil means silence. The programs' own output
	// goes to files.
	Log io.Writer
	// ControllerManager starts kube-controller-manager too.
	ControllerManager bool
	// ExtraAPIServerArgs and ExtraControllerManagerArgs come last, so a flag given
	// here replaces the default.
	ExtraAPIServerArgs         []string
	ExtraControllerManagerArgs []string
}

// complete fills in what is not set and makes the directory.
func (o *Options) complete() (temporary bool, err error) {
	if o.Name == "" {
		o.Name = "controlplane"
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", o.Name+"-"); err != nil {
			return false, fmt.Errorf("make directory of control plane %q: %w", o.Name, err)
		}
		return true, nil
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return false, fmt.Errorf("directory of control plane %q: %w", o.Name, err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return false, fmt.Errorf("make directory of control plane %q: %w", o.Name, err)
	}
	return false, nil
}
