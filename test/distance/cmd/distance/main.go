// Command distance measures what the way through the centre costs across the globe. See the Makefile
// for how it is called.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"loft.sh/agent/test/distance"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return newDistance().ExecuteContext(ctx)
}

func newDistance() *cobra.Command {
	opts := distance.Options{Delay: 90 * time.Millisecond, Rounds: 11, Log: os.Stderr}
	cmd := &cobra.Command{
		Use:          "distance",
		Short:        "Measure the direct way against the one through the centre, with delay on each hop",
		Args:         cobra.NoArgs,
		SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if opts.Dir, err = os.MkdirTemp("", "loft-distance-"); err != nil {
				return fmt.Errorf("directory: %w", err)
			}
			defer func() { err = errors.Join(err, os.RemoveAll(opts.Dir)) }()
			result, err := distance.Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			result.Print(cmd.OutOrStdout())
			return nil
		},
	}
	cmd.Flags().DurationVar(&opts.Delay, "delay", opts.Delay, "What each hop adds, in each direction.")
	cmd.Flags().IntVar(&opts.Rounds, "rounds", opts.Rounds, "How often each thing is done; the median counts.")
	return cmd
}
