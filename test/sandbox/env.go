package sandbox

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// EnvFile is the name of the file with shell exports in a sandbox's directory.
const EnvFile = "env"

// WriteEnv writes the file that scripts read. Its names stay for good.
func (s *Sandbox) WriteEnv() error {
	var b strings.Builder
	for _, v := range [][2]string{
		{"SANDBOX_DIR", s.opts.Dir},
		{"CLUSTER_KUBECONFIG", s.cluster.AdminKubeconfig()},
		{"ENDPOINT_URL", s.EndpointURL()},
		{"ENDPOINT_HTTP_URL", s.EndpointHTTPURL()},
		{"ENDPOINT_CA", s.EndpointCA()},
		{"AGENT_PID", strconv.Itoa(s.agent.PID())},
		{"APISERVER_PID", strconv.Itoa(s.cluster.APIServerPID())},
		{"APISERVER_AUDIT_LOG", s.cluster.AuditLog()},
		{"AGENT_AUDIT_LOG", s.AgentAuditLog()},
		{"KUBECTL", s.cluster.Binaries().Kubectl},
	} {
		fmt.Fprintf(&b, "export %s='%s'\n", v[0], strings.ReplaceAll(v[1], "'", `'\''`))
	}
	temporary := s.path(EnvFile + ".new")
	if err := os.WriteFile(temporary, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("sandbox's environment: %w", err)
	}
	if err := os.Rename(temporary, s.path(EnvFile)); err != nil {
		return fmt.Errorf("sandbox's environment: %w", err)
	}
	return nil
}
