package central

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// kubectlWith is the real kubectl with a kubeconfig, and ends with the test.
func kubectlWith(t *testing.T, config string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), shared.Cluster().Binaries().Kubectl, append([]string{"--kubeconfig=" + config}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECACHEDIR="+filepath.Join(filepath.Dir(config), "cache"))
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// printed runs kubectl and returns what it wrote to stdout.
func printed(t *testing.T, config string, args ...string) string {
	t.Helper()
	out, complaints, err := run2(kubectlWith(t, config, args...))
	if err != nil {
		t.Fatalf("kubectl %q: %v\n%s%s", args, err, out, complaints)
	}
	return out
}

// refused runs a kubectl that must fail, and returns what it wrote to stderr.
func refused(t *testing.T, config string, args ...string) string {
	t.Helper()
	out, complaints, err := run2(kubectlWith(t, config, args...))
	if err == nil {
		t.Fatalf("kubectl %q succeeded: %s", args, out)
	}
	return complaints
}

func run2(cmd *exec.Cmd) (out, complaints string, err error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}
