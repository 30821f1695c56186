package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/validate/content"

	"loft.sh/agent/pkg/cli/credential"
	"loft.sh/agent/pkg/cli/failure"
	"loft.sh/agent/pkg/cli/session"
)

const tokenExample = `  # What kubectl runs to reach a cluster at its direct endpoint
  loft token --direct-cluster-endpoint --cluster eu

  # What it runs to reach a cluster through the manager
  loft token`

func newToken(e *env) *cobra.Command {
	var direct, silent bool
	var cluster string
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Print a token for kubectl",
		Long: `Prints an exec credential (client.authentication.k8s.io/v1), which kubectl asks for in every context
that loft writes. A direct endpoint token is kept, renewed after 30 minutes or close to its end, and
used until its end while the manager does not answer.`,
		Example: tokenExample,
		Args:    exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cluster != "" && !direct {
				return failure.Usagef("--cluster has a meaning with --direct-cluster-endpoint alone")
			}
			if cluster != "" && len(content.IsDNS1123Subdomain(cluster)) > 0 {
				return failure.Usagef("--cluster: %q cannot be the name of a cluster", cluster)
			}
			return printToken(cmd.Context(), e, direct, cluster)
		},
	}
	cmd.Flags().BoolVar(&direct, "direct-cluster-endpoint", false, "Print a direct endpoint token, not the access key.")
	cmd.Flags().StringVar(&cluster, "cluster", "", "Cluster that the token is for. Default: every cluster that you may use, if the manager allows it.")
	cmd.Flags().BoolVar(&silent, "silent", false, "Accepted for kubeconfigs of other versions: standard output holds the credential alone in any case.")
	return cmd
}

func printToken(ctx context.Context, e *env, direct bool, cluster string) error {
	store, err := session.Open(e.config)
	if err != nil {
		return err
	}
	if !direct {
		login, err := store.Session()
		if err != nil {
			return err
		}
		return credential.Write(e.Out, login.AccessKey, time.Time{})
	}
	secret, until, err := credential.NewSource(store, e.Warnf).Token(ctx, cluster)
	if err != nil {
		return err
	}
	return credential.Write(e.Out, secret, until)
}
