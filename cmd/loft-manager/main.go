// Command loft-manager is the central instance of direct cluster endpoints.
package main

import (
	"os"

	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"

	"loft.sh/agent/pkg/manager"
)

func main() {
	os.Exit(cli.Run(manager.NewCommand(genericserver.SetupSignalContext())))
}
