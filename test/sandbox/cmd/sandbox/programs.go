package main

import (
	"os"

	"github.com/spf13/cobra"

	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/nodes"
)

func newPrograms() *cobra.Command {
	return &cobra.Command{
		Use:   "programs",
		Short: "Build the programs that sandboxes and tests run, unless they are there",
		Long: `Build etcd, kube-apiserver, kube-controller-manager, kubectl and KWOK from Go modules into the
user's cache directory. Sandboxes and tests do so by themselves; "go test" would not show how far it is.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := controlplane.BuildBinaries(cmd.Context(), os.Stderr); err != nil {
				return err
			}
			_, err := nodes.BuildKWOK(cmd.Context(), os.Stderr)
			return err
		},
	}
}
