package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

const wakeupExample = `  # Wake the space of the current kube context
  loft wakeup

  # Wake a space, also one that nothing else may wake
  loft wakeup my-space`

type wakeupOptions struct {
	spaceOptions
	kubeconfig string
	wait       time.Duration
}

func newWakeup(e *env) *cobra.Command {
	var o wakeupOptions
	cmd := &cobra.Command{
		Use:               "wakeup [SPACE]",
		Short:             "Wake a space",
		Example:           wakeupExample,
		Args:              between(0, 1, "the space's name"),
		ValidArgsFunction: completeSpaces(e),
		RunE:              func(cmd *cobra.Command, args []string) error { return wakeup(cmd.Context(), e, optional(args), o) },
	}
	o.addFlags(cmd.Flags())
	addKubeconfigFlag(cmd.Flags(), &o.kubeconfig)
	cmd.Flags().DurationVar(&o.wait, "wait", 5*time.Minute, "How long to wait until the space is awake; 0: not at all.")
	return cmd
}

func wakeup(ctx context.Context, e *env, name string, o wakeupOptions) error {
	v, found, client, err := e.sleeper(ctx, name, o.cluster, o.kubeconfig)
	if err != nil {
		return err
	}
	if err := client.Wake(ctx, found.Space.Name); err != nil {
		return err
	}
	if o.wait > 0 {
		if err := v.awaitSleep(ctx, client, found.Space.Name, false, o.wait); err != nil {
			return err
		}
	}
	e.Donef("Successfully woke space %s in cluster %s", found.Space.Name, found.Cluster)
	return nil
}
