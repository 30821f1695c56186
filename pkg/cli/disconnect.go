package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/cli/failure"
)

const disconnectClusterExample = `  # Have the manager take the agent out and forget the cluster
  loft disconnect cluster eu`

func newDisconnect(e *env) *cobra.Command {
	return group("disconnect", "Disconnect a cluster from the manager", disconnectClusterExample, newDisconnectCluster(e))
}

func newDisconnectCluster(e *env) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "cluster NAME",
		Short: "Disconnect a cluster from the manager",
		Long: `The manager takes its agent out of the cluster and forgets it. The manager's account stays there, and
does no harm without its kubeconfig: 'kubectl -n loft delete secret loft-connect-token' ends it.`,
		Example:           disconnectClusterExample,
		Args:              exactly(1, "the cluster's name"),
		ValidArgsFunction: completeClusters(e),
		RunE: func(cmd *cobra.Command, args []string) error {
			return disconnectCluster(cmd.Context(), e, args[0], timeout)
		},
	}
	cmd.Flags().DurationVar(&timeout, "wait", 2*time.Minute, "How long to wait until the agent is gone; 0: not at all.")
	return cmd
}

func disconnectCluster(ctx context.Context, e *env, name string, timeout time.Duration) error {
	v, err := e.visit()
	if err != nil {
		return err
	}
	cluster, err := v.client.Cluster(ctx, name, e)
	if err != nil {
		return err
	}
	if err := v.client.DeleteCluster(ctx, cluster.Name); err != nil {
		return err
	}
	if timeout > 0 {
		if err := v.awaitGone(ctx, cluster.Name, timeout); err != nil {
			return err
		}
	}
	e.Donef("Successfully disconnected cluster %s", cluster.Name)
	return nil
}

func (v *visit) awaitGone(ctx context.Context, name string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := v.Wait(ctx, waitPoll, func(ctx context.Context) (bool, string, error) {
		cluster, err := v.client.Existing(ctx, name)
		if err != nil || cluster == nil {
			return err == nil, "", err
		}
		return false, remaining(cluster), nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return failure.TimedOutf("the cluster %s is still there: %w", name, err)
	}
	return err
}

// remaining says what keeps a cluster that is being disconnected.
func remaining(cluster *managementv1.Cluster) string {
	text := "waiting for the manager to take the agent out"
	connected := meta.FindStatusCondition(cluster.Status.Conditions, storagev1.ConditionConnected)
	if connected != nil && connected.Message != "" && connected.Status != "True" {
		text += " (" + connected.Message + ")"
	}
	return text
}
