package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/wait"

	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/sandbox"
	"loft.sh/agent/test/sandbox/central"
)

const pidFile = "pid"

// upOptions say what to start.
type upOptions struct {
	dir                      string
	single                   bool
	clusters                 []string
	nodes                    int
	managers                 int
	managerArgs              []string
	agentArgs, apiServerArgs []string
}

func newUp() *cobra.Command {
	o := upOptions{dir: defaultDir(), clusters: []string{"eu", "us"}, managers: 1}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a sandbox and stay until Ctrl-C or \"sandbox down\"",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return up(cmd.Context(), o) },
	}
	fs := cmd.Flags()
	fs.StringVar(&o.dir, "dir", o.dir, "Directory of the sandbox; what an earlier one left there is removed.")
	fs.BoolVar(&o.single, "single", false, "Start one cluster with its agent, and no centre.")
	fs.StringSliceVar(&o.clusters, "clusters", o.clusters, "Names of the connected clusters.")
	fs.IntVar(&o.nodes, "nodes", 0, "How many simulated nodes each connected cluster has.")
	fs.IntVar(&o.managers, "managers", o.managers, "How many replicas of the manager run.")
	fs.StringArrayVar(&o.managerArgs, "manager-arg", nil, "A flag to add to the manager's.")
	fs.StringArrayVar(&o.agentArgs, "agent-arg", nil, "A flag to add to the agents'.")
	fs.StringArrayVar(&o.apiServerArgs, "apiserver-arg", nil, "A flag to add to those of the connected clusters' kube-apiserver.")
	return cmd
}

func (o *upOptions) validate() error {
	var errs []error
	if o.nodes < 0 {
		errs = append(errs, fmt.Errorf("--nodes: %d is negative", o.nodes))
	}
	if o.managers < 1 {
		errs = append(errs, fmt.Errorf("--managers: %d serve nobody; want 1 or more", o.managers))
	}
	seen := map[string]bool{}
	for _, name := range o.clusters {
		for _, fault := range validation.IsDNS1123Label(name) {
			errs = append(errs, fmt.Errorf("--clusters: %q: %s", name, fault))
		}
		if seen[name] {
			errs = append(errs, fmt.Errorf("--clusters: %q stands twice", name))
		}
		seen[name] = true
	}
	if len(o.clusters) == 0 {
		errs = append(errs, errors.New("--clusters: no name"))
	}
	return errors.Join(errs...)
}

// running is a sandbox of either form.
type running interface {
	WriteEnv(ctx context.Context) error
	Stop() error
}

func up(ctx context.Context, o upOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	unlock, err := lock(o.dir)
	if err != nil {
		return err
	}
	defer unlock()
	s, ended, err := o.start(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(filepath.Join(o.dir, sandbox.EnvFile)) }()
	if err := s.WriteEnv(ctx); err != nil {
		return errors.Join(err, s.Stop())
	}
	fmt.Printf("sandbox: ready; in another shell: . %s/%s\n", o.dir, sandbox.EnvFile)
	err = attend(ctx, ended)
	fmt.Fprintln(os.Stderr, "sandbox: stopping")
	return errors.Join(err, s.Stop())
}

// attend waits for ctx's end. Programs may end meanwhile: whoever tries what happens then ends them
// by hand.
func attend(ctx context.Context, ended <-chan *controlplane.Process) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-ended:
			fmt.Fprintf(os.Stderr, "sandbox: %s, pid %d, ended; its last lines:\n%s\n", p.Name(), p.PID(), p.Tail(5))
		}
	}
}

func (o *upOptions) start(ctx context.Context) (running, <-chan *controlplane.Process, error) {
	ended := make(chan *controlplane.Process)
	tell := func(p *controlplane.Process) {
		<-p.Done()
		select {
		case ended <- p:
		case <-ctx.Done():
		}
	}
	if o.single {
		s, err := sandbox.Start(ctx, sandbox.Options{
			Dir: o.dir, Nodes: o.nodes, AgentArgs: o.agentArgs, APIServerArgs: o.apiServerArgs, Log: os.Stderr,
		})
		if err != nil {
			return nil, nil, err
		}
		go tell(s.Agent())
		return s, ended, nil
	}
	opts := central.Options{
		Dir: o.dir, Managers: o.managers, ManagerArgs: o.managerArgs, AgentArgs: o.agentArgs,
		// hack/sandbox-token makes tokens for whomever one likes.
		APIServerArgs: o.apiServerArgs, OpenEndpoints: true, Log: os.Stderr,
	}
	for _, name := range o.clusters {
		opts.Clusters = append(opts.Clusters, central.ClusterOptions{Name: name, Nodes: o.nodes})
	}
	c, err := central.Start(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range c.Programs() {
		go tell(p)
	}
	return c, ended, nil
}

// lock takes the directory for this process and empties it.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("sandbox directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, pidFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sandbox directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("a sandbox runs in %q already; \"make sandbox-down\" ends it", dir), f.Close())
	}
	if err := empty(dir); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		return nil, errors.Join(fmt.Errorf("sandbox's pid: %w", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

func writePID(f *os.File) error {
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return err
}

// empty removes what an earlier sandbox left, known by its names, so that a wrong --dir loses nothing.
func empty(dir string) error {
	for _, name := range []string{
		"cluster", "nodes", "agent", "replicas", "pki", "bin", "demo", "signing.key", "cluster-uid",
		"central", "clusters", "managers", "run", sandbox.EnvFile,
	} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("sandbox directory: %w", err)
		}
	}
	return nil
}

func newDown() *cobra.Command {
	dir := defaultDir()
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End the sandbox and wait until it is gone",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return down(cmd.Context(), dir) },
	}
	cmd.Flags().StringVar(&dir, "dir", dir, "Directory of the sandbox.")
	return cmd
}

func down(ctx context.Context, dir string) error {
	f, err := os.Open(filepath.Join(dir, pidFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("sandbox's pid: %w", err)
	}
	defer func() { _ = f.Close() }()
	// The lock, not the number, says whether it runs: a number may be somebody else's by now.
	free := func(context.Context) (bool, error) {
		return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil, nil
	}
	// A sandbox that was killed leaves its environment behind; nothing must go by it.
	defer func() { _ = os.Remove(filepath.Join(dir, sandbox.EnvFile)) }()
	if gone, _ := free(ctx); gone {
		return nil
	}
	data, err := os.ReadFile(f.Name())
	if err != nil {
		return fmt.Errorf("sandbox's pid: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return fmt.Errorf("sandbox's pid: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("end sandbox, pid %d: %w", pid, err)
	}
	if err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, free); err != nil {
		return fmt.Errorf("sandbox, pid %d, does not end: %w", pid, err)
	}
	return nil
}
