// Command sandbox runs a connected cluster with its agent on this machine, makes tokens for it, and
// shows what it is good for. See the Makefile for how it is called.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := &cobra.Command{
		Use:           "sandbox",
		Short:         "A connected cluster with its agent, as local processes",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(newUp(), newDown(), newToken(), newDemo(), newPrograms())
	return cmd.ExecuteContext(ctx)
}

// defaultDir is where the Makefile keeps the sandbox.
func defaultDir() string {
	if dir := os.Getenv("SANDBOX_DIR"); dir != "" {
		return dir
	}
	return ".sandbox"
}
