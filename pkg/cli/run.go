package cli

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"loft.sh/agent/pkg/cli/console"
	"loft.sh/agent/pkg/cli/failure"
)

// Run runs the command line and returns the exit code. Errors are told on c.
func Run(ctx context.Context, args []string, c *console.Console) int {
	cmd := NewCommand(c)
	cmd.SetArgs(args)
	cmd.SetIn(c.In)
	cmd.SetOut(c.Out)
	cmd.SetErr(c.Err)
	ran, err := cmd.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	message := err.Error()
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		message = "interrupted: " + message
	}
	code := failure.Code(err)
	if code == failure.CodeUsage && ran != nil && !strings.Contains(message, "--help") {
		message += " (" + ran.CommandPath() + " --help says more)"
	}
	c.Errorf("%s", oneLine(message))
	return code
}

// oneLine keeps an error on a line of its own, whatever a server put into it.
func oneLine(message string) string {
	return strings.Join(strings.FieldsFunc(message, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// group is a command that only holds others.
func group(use, short, example string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			var names []string
			for _, sub := range cmd.Commands() {
				if sub.IsAvailableCommand() {
					names = append(names, sub.Name())
				}
			}
			hint := failure.DidYouMean(args[0], "commands", names)
			return failure.Usagef("unknown command %q for %q%s", args[0], cmd.CommandPath(), strings.Replace(hint, " that you may use", "", 1))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// exactly wants n arguments; usage names them.
func exactly(n int, usage string) cobra.PositionalArgs {
	return between(n, n, usage)
}

// between wants least to most arguments; usage names them.
func between(least, most int, usage string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return failure.Usagef("%s: %s is missing", cmd.CommandPath(), usage)
		case len(args) > most && most == 0:
			return failure.Usagef("%s takes no arguments, but was given %q", cmd.CommandPath(), args[0])
		case len(args) > most:
			return failure.Usagef("%s takes %s alone, but was also given %q", cmd.CommandPath(), usage, args[most])
		}
		return nil
	}
}
