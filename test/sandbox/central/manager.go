package central

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/sandbox"
)

// stopGrace is how long a manager may take to end.
const stopGrace = 20 * time.Second

// ports of a manager.
type ports struct{ inner, https, http int }

// Manager is a replica of the manager, with ports and files of its own. The aggregator of the central
// cluster knows the first one alone.
type Manager struct {
	central *Central
	dir     string
	ports   ports
	process *controlplane.Process
}

func (c *Central) newManagers() ([]*Manager, error) {
	free, err := sandbox.FreePorts(3 * c.opts.Managers)
	if err != nil {
		return nil, err
	}
	var managers []*Manager
	for i := range c.opts.Managers {
		dir := c.path("managers", strconv.Itoa(i+1))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("manager's directory: %w", err)
		}
		managers = append(managers, &Manager{
			central: c, dir: dir, ports: ports{inner: free[3*i], https: free[3*i+1], http: free[3*i+2]},
		})
	}
	return managers, nil
}

// startManagers starts every replica, and waits until the aggregator reaches the first.
func (c *Central) startManagers(ctx context.Context) error {
	starts, startCtx := errgroup.WithContext(ctx)
	for _, manager := range c.managers {
		starts.Go(func() error { return manager.Start(startCtx) })
	}
	if err := starts.Wait(); err != nil {
		return err
	}
	return sandbox.AwaitAPIService(ctx, c.cluster.RESTConfig(), apiService)
}

// Start starts the replica, which may have been stopped, at the ports that it had, and waits until it
// is ready.
func (m *Manager) Start(ctx context.Context) error {
	account := sandbox.Account{Namespace: namespace, Name: managerAccount, Dir: m.dir}
	if err := sandbox.WriteCredential(ctx, m.central.cluster, account); err != nil {
		return err
	}
	var err error
	m.process, err = controlplane.StartProcess(controlplane.ProcessConfig{
		Name: "loft-manager", Path: m.central.managerBinary(), Args: m.args(), LogFile: m.LogFile(),
	})
	if err != nil {
		return err
	}
	return sandbox.AwaitReady(ctx, m.process, m.central.ca, m.URL())
}

func (m *Manager) args() []string {
	pki := m.central.path("pki")
	return append([]string{
		"--kubeconfig=" + filepath.Join(m.dir, "kubeconfig"),
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(m.ports.inner),
		"--tls-cert-file=" + filepath.Join(pki, "manager.crt"),
		"--tls-private-key-file=" + filepath.Join(pki, "manager.key"),
		"--public-bind-address=127.0.0.1",
		"--public-secure-port=" + strconv.Itoa(m.ports.https),
		"--public-insecure-bind-address=127.0.0.1",
		"--public-insecure-port=" + strconv.Itoa(m.ports.http),
		"--namespace=" + namespace,
		"--issuer=" + sandbox.Issuer,
		"--audit-log-path=" + m.AuditLog(),
		"--audit-log-mode=blocking",
		// The central cluster's controllers watch all there is. As the Deployment, but quicker.
		"--shutdown-watch-termination-grace-period=1s",
	}, m.central.opts.ManagerArgs...)
}

// Stop ends the replica in an orderly way.
func (m *Manager) Stop() error {
	if m.process == nil {
		return nil
	}
	return m.process.Stop(stopGrace)
}

// Kill ends the replica as a crash does.
func (m *Manager) Kill() error { return m.process.Kill() }

// Process is the replica's process, another one after Start.
func (m *Manager) Process() *controlplane.Process { return m.process }

// Leads says whether the replica runs the controllers, as far as it has written so.
func (m *Manager) Leads() bool {
	said, err := m.process.Written()
	if err != nil || !m.process.Running() {
		return false
	}
	return strings.LastIndex(said, `"Leading"`) > strings.LastIndex(said, `"Not leading"`)
}

// Leader is the replica that runs the controllers; nil: none does at the moment.
func (c *Central) Leader() *Manager {
	for _, m := range c.managers {
		if m.Leads() {
			return m
		}
	}
	return nil
}

// URL is the door over HTTPS.
func (m *Manager) URL() string { return fmt.Sprintf("https://localhost:%d", m.ports.https) }

// HTTPURL is the door as an ingress in front would reach it.
func (m *Manager) HTTPURL() string { return fmt.Sprintf("http://localhost:%d", m.ports.http) }

// InnerURL is the inner listener.
func (m *Manager) InnerURL() string { return fmt.Sprintf("https://localhost:%d", m.ports.inner) }

// LogFile takes what the replica writes.
func (m *Manager) LogFile() string { return filepath.Join(m.dir, "manager.log") }

// AuditLog is the replica's audit log.
func (m *Manager) AuditLog() string { return filepath.Join(m.dir, "audit.log") }
