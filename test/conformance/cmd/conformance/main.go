// Command conformance runs the Kubernetes conformance specs that need no real node directly and
// through the direct endpoint, and shows the difference. See the Makefile for how it is called.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/spf13/cobra"

	"loft.sh/agent/test/conformance"
)

func main() {
	if err := execute(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func execute() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return newCommand().ExecuteContext(ctx)
}

// flags of the command.
type flags struct {
	focus, specs, dir string
	processes         int
}

func newCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:           "conformance",
		Short:         "Run Kubernetes conformance specs directly and through the endpoint, and compare",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.focus, "focus", "", "A regular expression: run only the specs whose name matches.")
	cmd.Flags().StringVar(&f.specs, "specs", "", "A file with names of specs, one a line, to run instead of the built-in list.")
	cmd.Flags().StringVar(&f.dir, "dir", "", "Directory of the cluster, logs and reports, which stays; the default is a temporary one.")
	cmd.Flags().IntVar(&f.processes, "processes", 3, "How many processes of the suite run side by side.")
	return cmd
}

func run(ctx context.Context, f flags) (err error) {
	if f.processes < 1 {
		return fmt.Errorf("--processes: %d is less than 1", f.processes)
	}
	specs, err := wantedSpecs(f)
	if err != nil {
		return err
	}
	if f.dir == "" {
		if f.dir, err = os.MkdirTemp("", "loft-conformance-"); err != nil {
			return fmt.Errorf("directory of the run: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(f.dir)) }()
	}
	return conformance.Run(ctx, conformance.Options{
		Dir: f.dir, Specs: specs, Processes: f.processes, Out: os.Stdout, Log: os.Stderr,
	})
}

func wantedSpecs(f flags) ([]conformance.Spec, error) {
	specs := conformance.Specs()
	if f.specs != "" {
		text, err := os.ReadFile(f.specs)
		if err != nil {
			return nil, fmt.Errorf("--specs: %w", err)
		}
		if specs, err = conformance.ParseSpecs(string(text)); err != nil {
			return nil, fmt.Errorf("--specs %q: %w", f.specs, err)
		}
	}
	pattern, err := regexp.Compile(f.focus)
	if err != nil {
		return nil, fmt.Errorf("--focus: %w", err)
	}
	if specs = conformance.Focus(specs, pattern); len(specs) == 0 {
		return nil, fmt.Errorf("--focus %q: no spec has such a name", f.focus)
	}
	return specs, nil
}
