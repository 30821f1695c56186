// Package artifacts holds the manifests that install and expose the programs.
//
// The files are what people read and apply by hand; the programs embed those of the folders agent,
// connect and manager, so that what they install is the same bytes. The folders expose, monitoring
// and agent-cert-manager are examples to edit and are not embedded.
//
// What surprises: kustomization.yaml is also the order in which the files are applied. The
// APIServices come last and without a caBundle, which the one who makes the serving certificate
// fills in.
package artifacts

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:embed agent/*.yaml connect/*.yaml manager/*.yaml manager/crds/*.yaml
var embedded embed.FS

// Agent returns the files that install the agent.
func Agent() (fs.FS, error) { return folder("agent") }

func folder(name string) (fs.FS, error) {
	files, err := fs.Sub(embedded, name)
	if err != nil {
		return nil, fmt.Errorf("open the manifests in %q: %w", name, err)
	}
	return files, nil
}
