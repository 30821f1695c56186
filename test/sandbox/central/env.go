package central

import (
	"strconv"
	"strings"

	"loft.sh/agent/test/sandbox"
)

// WriteEnv writes the file that scripts read. Its names stay for good; those of a single cluster mean
// the first connected one.
func (c *Central) WriteEnv() error {
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
	return sandbox.WriteEnvFile(c.opts.Dir, variables)
}
