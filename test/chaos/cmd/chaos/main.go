// Command chaos breaks things around the agent while it is under load, and says whether it kept its
// promises. See the Makefile for how it is called.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"loft.sh/agent/test/chaos"
	"loft.sh/agent/test/chaos/rows"
)

// errMissed ends the program without another word: the table says it.
var errMissed = errors.New("a promise was missed")

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

type flags struct {
	rows, dir   string
	short, json bool
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// client-go's informers tell of every watch that a fault ends.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	var f flags
	cmd := &cobra.Command{
		Use:           "chaos",
		Short:         "Faults under load: each with a figure and a verdict",
		Long:          "Faults under load: each with a figure and a verdict. The rows:\n\n" + list(rows.All()),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	cmd.Flags().StringVar(&f.rows, "rows", "", "Rows to run, a comma list of names or parts of names. Default: all.")
	cmd.Flags().StringVar(&f.dir, "dir", "", "Directory for the sandbox and logs, which stay there. Default: a temporary one.")
	cmd.Flags().BoolVar(&f.short, "short", false, "Seconds instead of minutes a row.")
	cmd.Flags().BoolVar(&f.json, "json", false, "Print the outcomes as JSON instead of a table.")
	return cmd.ExecuteContext(ctx)
}

func (f flags) run(ctx context.Context, out io.Writer) (err error) {
	selected, err := filter(rows.All(), f.rows)
	if err != nil {
		return err
	}
	if f.dir == "" {
		if f.dir, err = os.MkdirTemp("", "loft-chaos-"); err != nil {
			return fmt.Errorf("directory: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(f.dir)) }()
	} else if _, err := os.Stat(filepath.Join(f.dir, "cluster")); err == nil {
		return fmt.Errorf("--dir: %q holds an earlier run: name another or remove it", f.dir)
	}
	outcomes, runErr := chaos.Run(ctx, selected, chaos.Options{Dir: f.dir, Short: f.short, Log: os.Stderr})
	write := chaos.WriteTable
	if f.json {
		write = chaos.WriteJSON
	}
	if err := errors.Join(runErr, write(out, outcomes)); err != nil {
		return err
	}
	if !chaos.AllHeld(outcomes) {
		return errMissed
	}
	return nil
}

// filter keeps the rows whose name holds one of the comma list.
func filter(all []chaos.Row, wanted string) ([]chaos.Row, error) {
	if wanted == "" {
		return all, nil
	}
	var selected []chaos.Row
	for _, row := range all {
		for part := range strings.SplitSeq(wanted, ",") {
			if part != "" && strings.Contains(row.Name, part) {
				selected = append(selected, row)
				break
			}
		}
	}
	if len(selected) == 0 {
		return nil, fmt.Errorf("--rows: no row is named like %q; there are:\n%s", wanted, list(all))
	}
	return selected, nil
}

func list(all []chaos.Row) string {
	var b strings.Builder
	for _, row := range all {
		fmt.Fprintf(&b, "  %-22s %s\n", row.Name, row.Fault)
	}
	return b.String()
}
