package main

import (
	"github.com/spf13/cobra"

	"loft.sh/agent/test/bench/result"
)

func newCompare() *cobra.Command {
	threshold := 0.15
	cmd := &cobra.Command{
		Use:          "compare OLD.json NEW.json",
		Short:        "Compare the ratios of two runs; end with 1 where one that has a goal differs too much",
		Args:         cobra.ExactArgs(2),
		SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			before, err := result.Read(args[0])
			if err != nil {
				return err
			}
			after, err := result.Read(args[1])
			if err != nil {
				return err
			}
			return result.PrintComparison(cmd.OutOrStdout(), before, after, threshold)
		},
	}
	cmd.Flags().Float64Var(&threshold, "threshold", threshold, "The share of the old value that a ratio may differ by.")
	return cmd
}
