package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/kubeconfig"
	"loft.sh/agent/pkg/cli/space"
)

const deleteSpaceExample = `  # Delete a space, with all that is in it
  loft delete space my-space`

func newDelete(e *env) *cobra.Command {
	return group("delete", "Delete a space", deleteSpaceExample, newDeleteSpace(e))
}

type deleteOptions struct {
	spaceOptions
	kubeconfig string
	wait       time.Duration
	keep       bool
}

func newDeleteSpace(e *env) *cobra.Command {
	var o deleteOptions
	cmd := &cobra.Command{
		Use:               "space NAME",
		Short:             "Delete a space, with all that is in it",
		Example:           deleteSpaceExample,
		Args:              exactly(1, "the space's name"),
		ValidArgsFunction: completeSpaces(e),
		RunE:              func(cmd *cobra.Command, args []string) error { return deleteSpace(cmd.Context(), e, args[0], o) },
	}
	o.addFlags(cmd.Flags())
	addKubeconfigFlag(cmd.Flags(), &o.kubeconfig)
	cmd.Flags().DurationVar(&o.wait, "wait", 5*time.Minute, "How long to wait until the space is gone; 0: not at all.")
	cmd.Flags().BoolVar(&o.keep, "keep-context", false, "Leave the kube context of the space where it is.")
	return cmd
}

func deleteSpace(ctx context.Context, e *env, name string, o deleteOptions) error {
	v, err := e.visit()
	if err != nil {
		return err
	}
	found, err := v.space(ctx, name, o.cluster)
	if err != nil {
		return err
	}
	client, err := space.New(v.login, found.Cluster)
	if err != nil {
		return err
	}
	if err := client.Delete(ctx, name); err != nil {
		return err
	}
	if o.wait > 0 {
		if err := v.awaitSpaceGone(ctx, client, name, o.wait); err != nil {
			return err
		}
	}
	if !o.keep {
		if err := kubeconfig.Find(o.kubeconfig).Remove(ctx, spaceContext(name, found.Cluster)); err != nil {
			e.Warnf("The kube context of the space is left: %v", err)
		}
	}
	e.Donef("Successfully deleted the space %s in cluster %s", name, found.Cluster)
	return nil
}

func (v *visit) awaitSpaceGone(ctx context.Context, client *space.Client, name string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := v.Wait(ctx, waitPoll, func(ctx context.Context) (bool, string, error) {
		found, err := client.Get(ctx, name)
		return err == nil && found == nil, "waiting for the space " + name + " to go", err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return failure.TimedOutf("the space %s is being deleted, but still there: %w", name, err)
	}
	return err
}
