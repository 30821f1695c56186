package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/component-base/version"
	"sigs.k8s.io/yaml"

	"loft.sh/agent/pkg/cli/failure"
)

const versionExample = `  # The version of this program
  loft version

  # With the commit and the platform
  loft version -o json`

func newVersion(e *env) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Say which version this is",
		Example: versionExample,
		Args:    exactly(0, ""),
		RunE: func(*cobra.Command, []string) error {
			return printVersion(e, format)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "", "Format: json or yaml.")
	return cmd
}

func printVersion(e *env, format string) error {
	info := version.Get()
	var data []byte
	var err error
	switch format {
	case "":
		data = []byte("loft " + info.GitVersion)
	case "json":
		data, err = json.MarshalIndent(info, "", "  ")
	case "yaml":
		data, err = yaml.Marshal(info)
	default:
		return failure.Usagef("--output: %q is not one of json, yaml", format)
	}
	if err != nil {
		return fmt.Errorf("version: %w", err)
	}
	_, err = fmt.Fprintln(e.Out, string(data))
	return err
}
