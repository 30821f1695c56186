// Package artifacts holds the manifests that install and expose the agent.
//
// The files are what people read and apply by hand; the program embeds those of the folder agent,
// so that what the manager installs is the same bytes. The folders expose, monitoring and
// agent-cert-manager are examples to edit and are not embedded.
//
// What surprises: kustomization.yaml is also the order in which the manager applies the files, and
// the APIService comes last without a caBundle, which the one who makes the serving certificate
// fills in.
package artifacts

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed agent/*.yaml
var embedded embed.FS

// Agent returns the files that install the agent.
func Agent() (fs.FS, error) {
	agent, err := fs.Sub(embedded, "agent")
	if err != nil {
		return nil, fmt.Errorf("open the agent's manifests: %w", err)
	}
	return agent, nil
}
