package controlplane

import (
	"context"
	"fmt"
)

// APIServerPID returns the process ID of the API server, which changes when it is restarted.
func (c *ControlPlane) APIServerPID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apiServer.PID()
}

// Processes returns the programs in the order in which they were started. After a
// restart the API server is another one.
func (c *ControlPlane) Processes() []*Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	processes := []*Process{c.etcd, c.apiServer}
	if c.controllerManager != nil {
		processes = append(processes, c.controllerManager)
	}
	return processes
}

// StopAPIServer ends the API server as an orderly shutdown does (SIGTERM). Open watches
// can hold it until it is killed after ten seconds.
func (c *ControlPlane) StopAPIServer() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apiServer.Stop(stopGrace)
}

// KillAPIServer ends the API server as a crash does (SIGKILL).
func (c *ControlPlane) KillAPIServer() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apiServer.Kill()
}

// RestartAPIServer starts the API server again with the same port and data, and ends it
// first where it runs. It returns once it is ready.
func (c *ControlPlane) RestartAPIServer(ctx context.Context) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.apiServer.Stop(stopGrace); err != nil {
		return err
	}
	// The port was free to others meanwhile. Clients know it, so it is waited for.
	for range launchAttempts {
		c.apiServer, err = c.run("kube-apiserver", c.binaries.APIServer, c.apiServerArgs())
		if err != nil {
			return err
		}
		if err = c.waitAPIServer(ctx); err == nil || !addressInUse(c.apiServer) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("restart kube-apiserver: %w", err)
	}
	return nil
}
