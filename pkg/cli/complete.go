package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"loft.sh/agent/pkg/cli/centre"
)

// completionTimeout bounds what a shell waits for after a tab.
const completionTimeout = 2 * time.Second

// completeClusters completes the names of clusters.
func completeClusters(e *env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		v, err := e.visit()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		clusters, err := v.client.Clusters(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return centre.Names(clusters.Items), cobra.ShellCompDirectiveNoFileComp
	}
}
