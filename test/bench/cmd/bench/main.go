// Command bench measures what the direct endpoint costs against the API server itself, and compares
// two such measurements. See the Makefile for how it is called.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
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
	cmd := newBench()
	cmd.AddCommand(newCompare())
	return cmd.ExecuteContext(ctx)
}
