package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// EnvFile is the name of the file with shell exports in a sandbox's directory.
const EnvFile = "env"

// WriteEnv writes the file that scripts read. Its names stay for good.
func (s *Sandbox) WriteEnv(context.Context) error {
	return WriteEnvFile(s.opts.Dir, append([][2]string{{"SANDBOX_DIR", s.opts.Dir}}, s.Env()...))
}

// Env is what scripts may know of the cluster and its agent, as names and values.
func (s *Sandbox) Env() [][2]string {
	return [][2]string{
		{"CLUSTER_KUBECONFIG", s.cluster.AdminKubeconfig()},
		{"ENDPOINT_URL", s.EndpointURL()},
		{"ENDPOINT_HTTP_URL", s.EndpointHTTPURL()},
		{"ENDPOINT_CA", s.EndpointCA()},
		{"AGENT_PID", strconv.Itoa(s.agent.PID())},
		{"APISERVER_PID", strconv.Itoa(s.cluster.APIServerPID())},
		{"APISERVER_AUDIT_LOG", s.cluster.AuditLog()},
		{"AGENT_AUDIT_LOG", s.AgentAuditLog()},
		{"KUBECTL", s.cluster.Binaries().Kubectl},
	}
}

// WriteEnvFile writes names and values as shell exports into dir, all at once.
func WriteEnvFile(dir string, variables [][2]string) error {
	var b strings.Builder
	for _, v := range variables {
		fmt.Fprintf(&b, "export %s='%s'\n", v[0], strings.ReplaceAll(v[1], "'", `'\''`))
	}
	path := filepath.Join(dir, EnvFile)
	if err := os.WriteFile(path+".new", []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("sandbox's environment: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("sandbox's environment: %w", err)
	}
	return nil
}
