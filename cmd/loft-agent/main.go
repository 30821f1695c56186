// Command loft-agent serves a cluster's own API at a direct cluster endpoint.
package main

import (
	"os"

	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"

	"loft.sh/agent/pkg/agent"
)

func main() {
	os.Exit(cli.Run(agent.NewCommand(genericserver.SetupSignalContext())))
}
