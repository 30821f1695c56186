package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"loft.sh/agent/test/bench"
)

func newBench() *cobra.Command {
	opts := bench.DefaultOptions()
	var quick, strict bool
	var jsonFile string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the API server directly, through the endpoint, through nginx and through kubectl proxy",
		Example: `  bench --quick
  bench --work get,list-500 --clients http2 --targets endpoint --rounds 5 --profiles out/profiles
  bench --agent-arg --audit-log-mode=batch --json out/batch.json`,
		Args:         cobra.NoArgs,
		SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if quick {
				applyQuick(cmd, &opts)
			}
			if err := opts.Validate(); err != nil {
				return err
			}
			return measure(cmd, opts, jsonFile, strict)
		},
	}
	fs := cmd.Flags()
	fs.IntVar(&opts.Rounds, "rounds", opts.Rounds, "How many rounds count; one more before them does not.")
	fs.DurationVar(&opts.Duration, "duration", opts.Duration, "How long one cell takes in one round.")
	fs.StringSliceVar(&opts.Work, "work", opts.Work, "What is done.")
	fs.StringSliceVar(&opts.Clients, "clients", opts.Clients, "What the clients speak.")
	fs.IntSliceVar(&opts.Concurrency, "concurrency", opts.Concurrency, "How many workers ask at once.")
	fs.StringSliceVar(&opts.Targets, "targets", opts.Targets, "What is asked; direct always is.")
	fs.StringArrayVar(&opts.AgentArgs, "agent-arg", nil, "A flag to add to the agent's.")
	fs.IntVar(&opts.IdleWatches, "idle-watches", opts.IdleWatches, "How many idle watches are held open.")
	fs.DurationVar(&opts.ProfileTime, "profile-time", opts.ProfileTime, "How long each CPU profile of the agent takes, in whole seconds; 0: none.")
	fs.StringVar(&opts.Profiles, "profiles", "", "Directory for the agent's profiles. Default: none are taken.")
	fs.StringVar(&opts.Dir, "dir", "", "Directory for the control plane. Default: a temporary one.")
	fs.StringVar(&jsonFile, "json", "", "File for the result as JSON.")
	fs.BoolVar(&quick, "quick", false, "Take about a minute; flags that are given as well count more.")
	fs.BoolVar(&strict, "strict", false, "End with 1 where a goal is missed.")
	return cmd
}

// applyQuick shortens what no flag was given for.
func applyQuick(cmd *cobra.Command, opts *bench.Options) {
	given := *opts
	opts.Quick()
	if cmd.Flags().Changed("rounds") {
		opts.Rounds = given.Rounds
	}
	if cmd.Flags().Changed("duration") {
		opts.Duration = given.Duration
	}
	if cmd.Flags().Changed("clients") {
		opts.Clients = given.Clients
	}
	if cmd.Flags().Changed("profile-time") {
		opts.ProfileTime = given.ProfileTime
	}
}

func measure(cmd *cobra.Command, opts bench.Options, jsonFile string, strict bool) error {
	opts.Log = cmd.ErrOrStderr()
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "bench-")
		if err != nil {
			return fmt.Errorf("directory: %w", err)
		}
		opts.Dir = dir
		defer func() { _ = os.RemoveAll(dir) }()
	}
	result, err := bench.Run(cmd.Context(), opts)
	if err != nil {
		return err
	}
	result.Print(cmd.OutOrStdout())
	if jsonFile != "" {
		if err := result.Write(jsonFile); err != nil {
			return err
		}
	}
	missed := 0
	for _, verdict := range result.Judge() {
		if !verdict.Met {
			missed++
		}
	}
	if strict && missed > 0 {
		return fmt.Errorf("%d goals are missed", missed)
	}
	return nil
}
