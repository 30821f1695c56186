package cli

import (
	"github.com/spf13/cobra"

	"loft.sh/agent/pkg/cli/console"
	"loft.sh/agent/pkg/cli/failure"
)

// env is what every verb works with.
type env struct {
	*console.Console
	// config is the path of the config file, from --config.
	config string
}

const rootExample = `  # Log in, and point kubectl at a cluster
  loft login https://loft.example.com
  loft use cluster eu
  kubectl get namespaces

  # What there is
  loft list clusters`

// NewCommand returns the root of all commands, which speak on c.
func NewCommand(c *console.Console) *cobra.Command {
	e := &env{Console: c}
	root := group("loft", "Use Kubernetes clusters through the manager or at their direct endpoints", rootExample, e.commands()...)
	root.Long = `loft logs in to a manager and points kubectl at the clusters that it knows: at their direct
endpoints where they have one, through the manager elsewhere.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not logged in, 4 timed out.`
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentFlags().StringVar(&e.config, "config", "", "Path of the config file. Default: $LOFT_CONFIG or ~/.loft/config.json.")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return failure.Usagef("%w", err) })
	root.SetUsageTemplate(usageTemplate)
	root.SetHelpTemplate(helpTemplate)
	return root
}

// commands are the verbs.
func (e *env) commands() []*cobra.Command {
	return []*cobra.Command{
		newLogin(e), newLogout(e), newWhoami(e),
		newUse(e), newToken(e),
		newCreate(e), newDelete(e), newSleep(e), newWakeup(e),
		newList(e), newDoctor(e),
		newConnect(e), newDisconnect(e), newStart(e),
		newVersion(e),
	}
}

// The templates put examples first: they are what people look for.
const (
	helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{if or .Runnable .HasSubCommands}}{{.UsageString}}{{end}}`

	usageTemplate = `{{if .HasExample}}Examples:
{{.Example}}

{{end}}Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}
{{if .HasAvailableSubCommands}}
Commands:{{range .Commands}}{{if (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding }} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableInheritedFlags}}
Global flags:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}`
)
