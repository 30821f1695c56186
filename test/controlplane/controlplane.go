package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// stopGrace is how long a program may take to end before it is killed.
const stopGrace = 10 * time.Second

// ControlPlane is a running control plane. All methods may be called from several goroutines.
type ControlPlane struct {
	opts      Options
	temporary bool
	binaries  Binaries
	pki       *pki
	admin     KeyPair
	// ports stay what Start found, also when the API server is restarted.
	ports ports

	mu                                 sync.Mutex
	etcd, apiServer, controllerManager *Process
}

// Start builds the programs where needed, starts a control plane and returns once it is
// ready: the API server's /readyz answers, the system namespaces exist, and with a controller
// manager the namespace default has its service account. After an error nothing runs, and
// nothing but the logs is left of a temporary directory.
func Start(ctx context.Context, opts Options) (*ControlPlane, error) {
	c, err := newControlPlane(ctx, opts)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := c.launch(ctx, freePorts); err != nil {
		return nil, errors.Join(fmt.Errorf("start control plane %q: %w", c.opts.Name, err), c.abandon())
	}
	fmt.Fprintf(c.opts.Log, "control plane %q is ready at %s after %s\n",
		c.opts.Name, c.URL(), time.Since(begun).Round(100*time.Millisecond))
	return c, nil
}

// newControlPlane does what comes before the first program is started.
func newControlPlane(ctx context.Context, opts Options) (*ControlPlane, error) {
	binaries, err := BuildBinaries(ctx, opts.Log)
	if err != nil {
		return nil, err
	}
	temporary, err := opts.complete()
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{opts: opts, temporary: temporary, binaries: binaries}
	if err := c.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare control plane %q: %w", opts.Name, err), c.abandon())
	}
	return c, nil
}

// prepare writes everything that does not depend on the ports.
func (c *ControlPlane) prepare() (err error) {
	if c.pki, err = openPKI(filepath.Join(c.opts.Dir, "pki")); err != nil {
		return err
	}
	if c.admin, err = c.pki.cluster.IssueClient("kubernetes-admin", "system:masters"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(c.opts.Dir, "logs"), 0o700); err != nil {
		return fmt.Errorf("make log directory: %w", err)
	}
	if err := os.WriteFile(c.auditPolicyFile(), []byte(auditPolicy), 0o600); err != nil {
		return fmt.Errorf("write audit policy: %w", err)
	}
	return nil
}

// Stop ends the programs in the order of their dependencies and removes a temporary
// directory. Calling it again does nothing.
func (c *ControlPlane) Stop() error {
	err := c.stopPrograms(func(p *Process) error { return p.Stop(stopGrace) })
	if c.temporary {
		err = errors.Join(err, os.RemoveAll(c.opts.Dir))
	}
	return err
}

// abandon ends what a failed start left, and keeps only the logs of a temporary directory.
func (c *ControlPlane) abandon() error {
	err := c.stopPrograms((*Process).Kill)
	if c.temporary {
		err = errors.Join(err,
			os.RemoveAll(filepath.Join(c.opts.Dir, "pki")),
			os.RemoveAll(filepath.Join(c.opts.Dir, "etcd")),
			os.RemoveAll(c.AdminKubeconfig()))
	}
	return err
}

func (c *ControlPlane) stopPrograms(stop func(*Process) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, p := range []*Process{c.controllerManager, c.apiServer, c.etcd} {
		if p != nil {
			errs = append(errs, stop(p))
		}
	}
	return errors.Join(errs...)
}

// Dir returns the directory of data, keys and logs.
func (c *ControlPlane) Dir() string { return c.opts.Dir }

// Binaries returns the programs that the control plane was started with, and kubectl.
func (c *ControlPlane) Binaries() Binaries { return c.binaries }

// AuditLog returns the path of the API server's audit log, one JSON event a line.
func (c *ControlPlane) AuditLog() string { return c.logFile("audit") }

func (c *ControlPlane) logFile(name string) string {
	return filepath.Join(c.opts.Dir, "logs", name+".log")
}

func (c *ControlPlane) auditPolicyFile() string {
	return filepath.Join(c.opts.Dir, "audit-policy.yaml")
}
