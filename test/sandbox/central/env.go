package central

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/sandbox"
)

// scripts is the folder with a script for each manager and agent.
const scripts = "run"

// WriteEnv writes the file that scripts read. Its names stay for good; those of a single cluster mean
// the first connected one. Beside it: the key that signs tokens, and a script for each manager and
// agent that starts it again after it was ended by hand.
func (c *Central) WriteEnv(ctx context.Context) error {
	if _, err := c.Keys(ctx); err != nil {
		return err
	}
	if err := c.writeScripts(); err != nil {
		return err
	}
	return sandbox.WriteEnvFile(c.opts.Dir, c.Env())
}

// Env is what scripts may know, as names and values.
func (c *Central) Env() [][2]string {
	first := c.connected[c.opts.Clusters[0].Name]
	variables := append([][2]string{{"SANDBOX_DIR", c.opts.Dir}}, first.Env()...)
	variables = append(variables, [][2]string{
		{"LOFT_URL", c.URL()},
		{"LOFT_CA", c.CAFile()},
		{"LOFT_ADMIN_KEY", c.keys[Admin]},
		{"LOFT_ALICE_KEY", c.keys[Alice]},
		{"CENTRAL_KUBECONFIG", c.cluster.AdminKubeconfig()},
		{"MANAGER_PID", strconv.Itoa(c.managers[0].process.PID())},
		{"MANAGER_AUDIT_LOG", c.managers[0].AuditLog()},
		{"CLUSTERS", strings.Join(c.Clusters(), " ")},
	}...)
	for _, cluster := range c.opts.Clusters {
		s := c.connected[cluster.Name]
		name := strings.ToUpper(strings.ReplaceAll(cluster.Name, "-", "_"))
		variables = append(variables, [][2]string{
			{"CLUSTER_" + name + "_KUBECONFIG", s.Cluster().AdminKubeconfig()},
			{"ENDPOINT_" + name + "_URL", s.EndpointURL()},
			{"ENDPOINT_" + name + "_CA", s.EndpointCA()},
		}...)
	}
	return variables
}

func (c *Central) writeScripts() error {
	programs := map[string]*controlplane.Process{}
	for i, m := range c.managers {
		programs["manager-"+strconv.Itoa(i+1)] = m.process
	}
	for name, s := range c.connected {
		programs["agent-"+name] = s.Agent()
	}
	if err := os.MkdirAll(c.path(scripts), 0o700); err != nil {
		return fmt.Errorf("scripts of the sandbox: %w", err)
	}
	for name, program := range programs {
		var quoted []string
		for _, word := range program.Command() {
			quoted = append(quoted, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
		}
		script := "#!/bin/sh\nexec " + strings.Join(quoted, " \\\n  ") + "\n"
		if err := os.WriteFile(c.path(scripts, name), []byte(script), 0o700); err != nil {
			return fmt.Errorf("script %q of the sandbox: %w", name, err)
		}
	}
	return nil
}
