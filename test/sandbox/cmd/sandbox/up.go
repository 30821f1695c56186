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
	"k8s.io/apimachinery/pkg/util/wait"

	"loft.sh/agent/test/sandbox"
)

const pidFile = "pid"

func newUp() *cobra.Command {
	opts := sandbox.Options{Log: os.Stderr}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a sandbox and stay until Ctrl-C or \"sandbox down\"",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return up(cmd.Context(), opts)
		},
	}
	cmd.Flags().StringVar(&opts.Dir, "dir", defaultDir(), "Directory of the sandbox; what an earlier one left there is removed.")
	cmd.Flags().IntVar(&opts.Nodes, "nodes", 0, "How many simulated nodes to run.")
	cmd.Flags().StringArrayVar(&opts.AgentArgs, "agent-arg", nil, "A flag to add to the agent's.")
	cmd.Flags().StringArrayVar(&opts.APIServerArgs, "apiserver-arg", nil, "A flag to add to kube-apiserver's.")
	return cmd
}

func up(ctx context.Context, opts sandbox.Options) error {
	if opts.Nodes < 0 {
		return fmt.Errorf("--nodes: %d is negative", opts.Nodes)
	}
	unlock, err := lock(opts.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := sandbox.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(filepath.Join(opts.Dir, sandbox.EnvFile)) }()
	if err := s.WriteEnv(); err != nil {
		return errors.Join(err, s.Stop())
	}
	fmt.Printf("sandbox: ready; in another shell: . %s/%s\n", opts.Dir, sandbox.EnvFile)
	select {
	case <-ctx.Done():
	case <-s.Agent().Done():
		err = fmt.Errorf("the agent ended; its last lines:\n%s", s.Agent().Tail(20))
	}
	fmt.Fprintln(os.Stderr, "sandbox: stopping")
	return errors.Join(err, s.Stop())
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
	for _, name := range []string{"cluster", "nodes", "agent", "replicas", "pki", "bin", "demo", "signing.key", "cluster-uid", sandbox.EnvFile} {
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
