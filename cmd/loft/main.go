// Command loft is the command line of direct cluster endpoints: log in, point kubectl at a cluster,
// hand it tokens.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // systems without a database of time zones

	"loft.sh/agent/pkg/cli"
	"loft.sh/agent/pkg/cli/console"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], console.Standard())
	stop()
	os.Exit(code)
}
