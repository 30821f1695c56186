package target

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"loft.sh/agent/test/controlplane"
)

// listening is how kubectl proxy says where it listens.
var listening = regexp.MustCompile(`Starting to serve on (127\.0\.0\.1:\d+)`)

// addKubectl adds kubectl proxy, which speaks HTTP/1.1 without TLS to its clients and adds a
// service account's token.
func (e *Env) addKubectl(ctx context.Context) error {
	if !e.wanted(Kubectl) {
		return nil
	}
	token, user, err := e.account(ctx, Kubectl)
	if err != nil {
		return err
	}
	dir := e.path(Kubectl)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("directory of kubectl proxy: %w", err)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := controlplane.WriteKubeconfig(kubeconfig, "bench", e.Sandbox.Cluster().TokenConfig(token)); err != nil {
		return err
	}
	process, err := controlplane.StartProcess(controlplane.ProcessConfig{
		Name: "kubectl proxy", Path: e.Sandbox.Cluster().Binaries().Kubectl,
		Args:    []string{"proxy", "--kubeconfig=" + kubeconfig, "--port=0"},
		LogFile: filepath.Join(dir, "kubectl.log"),
	})
	if err != nil {
		return err
	}
	e.processes = append(e.processes, process)
	var address string
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		if err := process.Err(); err != nil {
			return false, err
		}
		data, err := os.ReadFile(process.LogFile())
		if match := listening.FindSubmatch(data); match != nil {
			address = string(match[1])
		}
		return address != "", err
	})
	if err != nil {
		return fmt.Errorf("kubectl proxy does not listen: %w", err)
	}
	e.Targets = append(e.Targets, &Target{
		Name: Kubectl, BaseURL: "http://" + address, User: user, PID: process.PID(), OnlyHTTP1: true,
	})
	return nil
}
