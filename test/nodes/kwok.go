package nodes

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"loft.sh/agent/test/controlplane"
)

//go:embed stages.yaml
var stages []byte

// BuildKWOK compiles KWOK or finds it in the cache, and returns the program's path.
func BuildKWOK(ctx context.Context, log io.Writer) (string, error) {
	root, err := controlplane.ModuleRoot()
	if err != nil {
		return "", err
	}
	dir, err := controlplane.BuildPrograms(ctx, controlplane.Build{
		Name:      "kwok",
		ModuleDir: filepath.Join(root, "test", "nodes", "kwok"),
		Programs:  []controlplane.Program{{Name: "kwok", Package: "sigs.k8s.io/kwok/cmd/kwok"}},
		LDFlags:   "-s -w",
		Log:       log,
	})
	if err != nil {
		return "", fmt.Errorf("program of the nodes: %w", err)
	}
	return filepath.Join(dir, "kwok"), nil
}

// startKWOK runs KWOK without its own kubelet server, which it starts only with an address or port.
func startKWOK(program string, opts Options) (*controlplane.Process, error) {
	config := filepath.Join(opts.Dir, "stages.yaml")
	if err := os.WriteFile(config, stages, 0o600); err != nil {
		return nil, fmt.Errorf("write stages: %w", err)
	}
	return controlplane.StartProcess(controlplane.ProcessConfig{
		Name: "kwok",
		Path: program,
		Args: []string{
			"--kubeconfig=" + opts.Kubeconfig,
			"--config=" + config,
			"--manage-all-nodes",
			"--node-ip=127.0.0.1",
		},
		Env:     []string{"KWOK_WORKDIR=" + opts.Dir}, // the default is in the home directory
		LogFile: filepath.Join(opts.Dir, "kwok.log"),
	})
}
