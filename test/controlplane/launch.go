package controlplane

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

const (
	// launchAttempts bounds how often a start is tried with other ports.
	launchAttempts = 5
	// readyTimeout bounds how long one program may take to become ready. It is far above
	// the usual seconds, for machines that compile beside it.
	readyTimeout = 2 * time.Minute
)

// launch starts the programs. A free port may be taken by another process before the program
// listens on it: then the program dies and all are started again with other ports.
func (c *ControlPlane) launch(ctx context.Context, findPorts func() (ports, error)) error {
	for attempt := 1; ; attempt++ {
		var err error
		if c.ports, err = findPorts(); err != nil {
			return err
		}
		err = c.launchOnce(ctx)
		if err == nil || attempt == launchAttempts || !c.portTaken() {
			return err
		}
		fmt.Fprintf(c.opts.Log, "control plane %q: a port was taken, trying others\n", c.opts.Name)
		if err := c.stopPrograms((*Process).Kill); err != nil {
			return err
		}
	}
}

func (c *ControlPlane) launchOnce(ctx context.Context) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := WriteKubeconfig(c.AdminKubeconfig(), c.opts.Name, c.RESTConfig()); err != nil {
		return err
	}
	// etcd and the API server come up side by side: the API server waits for its store.
	if c.etcd, err = c.run("etcd", c.binaries.Etcd, c.etcdArgs()); err != nil {
		return err
	}
	if c.apiServer, err = c.run("kube-apiserver", c.binaries.APIServer, c.apiServerArgs()); err != nil {
		return err
	}
	if err := c.waitEtcd(ctx); err != nil {
		return err
	}
	if err := c.waitAPIServer(ctx); err != nil {
		return err
	}
	if !c.opts.ControllerManager {
		return nil
	}
	c.controllerManager, err = c.run("kube-controller-manager", c.binaries.ControllerManager, c.controllerManagerArgs())
	if err != nil {
		return err
	}
	return c.waitControllerManager(ctx)
}

func (c *ControlPlane) run(name, path string, args []string) (*Process, error) {
	return StartProcess(ProcessConfig{Name: name, Path: path, Args: args, Dir: c.opts.Dir, LogFile: c.logFile(name)})
}

// portTaken reports whether a program of the last attempt died since it could not listen.
func (c *ControlPlane) portTaken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range []*Process{c.etcd, c.apiServer, c.controllerManager} {
		if p != nil && addressInUse(p) {
			return true
		}
	}
	return false
}

func addressInUse(p *Process) bool {
	return !p.Running() && strings.Contains(p.Tail(tailLines), "address already in use")
}

// freePorts asks the kernel for loopback ports, holding all until the last is found so
// that no two are the same.
func freePorts() (ports, error) {
	var found ports
	var listeners []net.Listener
	defer func() {
		for _, listener := range listeners {
			listener.Close()
		}
	}()
	for _, port := range []*int{&found.etcdClient, &found.etcdPeer, &found.apiServer, &found.controllerManager} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return ports{}, fmt.Errorf("find free port: %w", err)
		}
		listeners = append(listeners, listener)
		*port = listener.Addr().(*net.TCPAddr).Port
	}
	return found, nil
}
