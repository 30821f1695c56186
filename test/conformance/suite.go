package conformance

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"loft.sh/agent/test/controlplane"
)

// BuildSuite compiles the Kubernetes e2e suite, or finds it in the cache, and returns the
// program's path. The first time takes about ten minutes; the progress goes to log.
func BuildSuite(ctx context.Context, log io.Writer) (string, error) {
	root, err := controlplane.ModuleRoot()
	if err != nil {
		return "", err
	}
	dir, err := controlplane.BuildPrograms(ctx, controlplane.Build{
		Name:      "e2e",
		ModuleDir: filepath.Join(root, "test", "conformance", "suite"),
		Programs:  []controlplane.Program{{Name: "e2e.test", Package: "k8s.io/kubernetes/test/e2e", Test: true}},
		LDFlags:   controlplane.KubernetesLDFlags,
		Log:       log,
	})
	if err != nil {
		return "", fmt.Errorf("the Kubernetes e2e suite: %w", err)
	}
	return filepath.Join(dir, "e2e.test"), nil
}
