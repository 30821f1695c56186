package central

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	storageclient "loft.sh/agent/generated/clientset/versioned/typed/storage/v1"
	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/sandbox"
)

// Options of an installation.
type Options struct {
	// Dir keeps everything; required.
	Dir string
	// Clusters are the connected clusters; "eu" and "us" by default.
	Clusters []ClusterOptions
	// Managers is how many replicas of the manager run; 1 by default.
	Managers int
	// ManagerArgs, AgentArgs and APIServerArgs are added to the programs' flags; the latter in the
	// connected clusters.
	ManagerArgs, AgentArgs, APIServerArgs []string
	// Connect makes the manager know a connected cluster; nil: the sandbox writes what the manager
	// reads. The agent is started afterwards.
	Connect func(ctx context.Context, c *Central, cluster string) error
	// OpenEndpoints lets everybody through an endpoint who has a token for it, as an agent that is
	// installed by hand does. Otherwise a ClusterAccess must name them.
	OpenEndpoints bool
	// Log takes what is done; nil means silence.
	Log io.Writer
}

// ClusterOptions say what a connected cluster is like.
type ClusterOptions struct {
	Name string
	// Nodes is how many simulated nodes there are; 0: none, and no pod runs.
	Nodes int
}

// Central is an installation, running.
type Central struct {
	opts     Options
	cluster  *controlplane.ControlPlane
	ca       *controlplane.CA
	storage  storageclient.StorageV1Interface
	managers []*Manager
	// connected holds the connected clusters by name.
	connected map[string]*sandbox.Sandbox
	keys      map[string]string
	lock      sync.Mutex
}

// Start starts an installation. It is ready when Start returns: every agent is, every endpoint was
// found to be reachable, and alice may use the clusters. What was started is stopped again where
// something fails.
func Start(ctx context.Context, opts Options) (_ *Central, err error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	c := &Central{opts: opts, connected: map[string]*sandbox.Sandbox{}, keys: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	began := time.Now()
	// The slow parts side by side: three clusters come up while two programs are compiled.
	parts, partsCtx := errgroup.WithContext(ctx)
	parts.Go(func() error { return sandbox.Build(partsCtx, "./cmd/loft-agent", c.agentBinary()) })
	parts.Go(func() error { return sandbox.Build(partsCtx, "./cmd/loft-manager", c.managerBinary()) })
	parts.Go(func() error { return c.startCentre(partsCtx) })
	for _, cluster := range opts.Clusters {
		parts.Go(func() error { return c.startCluster(partsCtx, cluster) })
	}
	if err := parts.Wait(); err != nil {
		return nil, err
	}
	c.logf("clusters are there, programs are built (%.1fs)", time.Since(began).Seconds())
	if err := c.join(ctx); err != nil {
		return nil, err
	}
	c.logf("manager, agents and people are ready (%.1fs)", time.Since(began).Seconds())
	return c, nil
}

func (o *Options) complete() (err error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	o.Log = &lockedWriter{to: o.Log}
	if len(o.Clusters) == 0 {
		o.Clusters = []ClusterOptions{{Name: "eu"}, {Name: "us"}}
	}
	if o.Connect == nil {
		o.Connect = func(ctx context.Context, c *Central, cluster string) error { return c.announce(ctx, cluster) }
	}
	if o.Managers == 0 {
		o.Managers = 1
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return fmt.Errorf("sandbox directory: %w", err)
	}
	for _, dir := range []string{"", "bin", "clusters"} {
		if err := os.MkdirAll(filepath.Join(o.Dir, dir), 0o700); err != nil {
			return fmt.Errorf("sandbox directory: %w", err)
		}
	}
	return nil
}

// join brings together what was started apart.
func (c *Central) join(ctx context.Context) error {
	if err := c.startManagers(ctx); err != nil {
		return err
	}
	if err := c.makePeople(ctx); err != nil {
		return err
	}
	connects, connectCtx := errgroup.WithContext(ctx)
	for _, cluster := range c.opts.Clusters {
		connects.Go(func() error { return c.connect(connectCtx, cluster.Name) })
	}
	return connects.Wait()
}

// Stop ends every process.
func (c *Central) Stop() error {
	var stops errgroup.Group
	for _, manager := range c.managers {
		stops.Go(manager.Stop)
	}
	for _, connected := range c.connected {
		stops.Go(connected.Stop)
	}
	err := stops.Wait()
	if c.cluster != nil {
		err = errors.Join(err, c.cluster.Stop())
	}
	return err
}

// Cluster is the central cluster.
func (c *Central) Cluster() *controlplane.ControlPlane { return c.cluster }

// Storage is an administrator's client for the manager's state.
func (c *Central) Storage() storageclient.StorageV1Interface { return c.storage }

// Clusters are the names of the connected clusters, in the order of Options.
func (c *Central) Clusters() []string {
	names := make([]string, 0, len(c.opts.Clusters))
	for _, cluster := range c.opts.Clusters {
		names = append(names, cluster.Name)
	}
	return names
}

// Connected is a connected cluster.
func (c *Central) Connected(name string) *sandbox.Sandbox { return c.connected[name] }

// Managers are the replicas of the manager.
func (c *Central) Managers() []*Manager { return c.managers }

// Programs are the processes of managers and agents.
func (c *Central) Programs() []*controlplane.Process {
	var programs []*controlplane.Process
	for _, manager := range c.managers {
		programs = append(programs, manager.process)
	}
	for _, name := range c.Clusters() {
		programs = append(programs, c.connected[name].Agent())
	}
	return programs
}

// URL is the manager's door over HTTPS, of its first replica.
func (c *Central) URL() string { return c.managers[0].URL() }

// CAFile is the file with the CA of the door's certificate.
func (c *Central) CAFile() string { return c.path("pki", "ca.crt") }

// Key is the access key of a person: "admin" or "alice".
func (c *Central) Key(person string) string { return c.keys[person] }

func (c *Central) path(elem ...string) string {
	return filepath.Join(append([]string{c.opts.Dir}, elem...)...)
}

func (c *Central) agentBinary() string   { return c.path("bin", "loft-agent") }
func (c *Central) managerBinary() string { return c.path("bin", "loft-manager") }

func (c *Central) logf(format string, args ...any) {
	_, _ = fmt.Fprintf(c.opts.Log, "central: "+format+"\n", args...)
}

// lockedWriter serves those who write side by side.
type lockedWriter struct {
	lock sync.Mutex
	to   io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.to.Write(p)
}
