package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"loft.sh/agent/test/controlplane"
)

// ReplicaOptions say how a further agent differs from the sandbox's own.
type ReplicaOptions struct {
	// Name tells it from others; its files lie in a folder of that name.
	Name string
	// Host is where it reaches the API server; empty: directly.
	Host string
	// Args are added to its flags, and Env (NAME=value) to its environment.
	Args, Env []string
}

// Replica is a further agent of the same cluster, with ports, credentials and logs of its own. The
// aggregator does not know it: it has doors to the outside alone.
type Replica struct {
	sandbox *Sandbox
	opts    ReplicaOptions
	dir     string
	binary  string
	ports   ports
	process *controlplane.Process
}

// StartReplica starts an agent and waits until it is ready. The sandbox's Stop ends it, too.
// Several goroutines may start one at the same time.
func (s *Sandbox) StartReplica(ctx context.Context, opts ReplicaOptions) (*Replica, error) {
	r := &Replica{sandbox: s, opts: opts, dir: s.path("replicas", opts.Name), binary: s.agentBinary()}
	account := s.agentAccount(r.dir)
	account.Host = opts.Host
	if err := WriteCredential(ctx, s.cluster, account); err != nil {
		return nil, fmt.Errorf("replica %q: %w", opts.Name, err)
	}
	var err error
	if r.ports, err = freePorts(); err != nil {
		return nil, err
	}
	s.lock.Lock()
	s.replicas = append(s.replicas, r)
	s.lock.Unlock()
	return r, r.Start(ctx)
}

// Start starts an agent that was stopped, at the ports that it had, and waits until it is ready.
func (r *Replica) Start(ctx context.Context) error {
	args := append(r.sandbox.agentArgs(r.dir, r.ports), r.opts.Args...)
	var err error
	r.process, err = controlplane.StartProcess(controlplane.ProcessConfig{
		Name: "loft-agent " + r.opts.Name, Path: r.binary, Args: args, Env: r.opts.Env, LogFile: filepath.Join(r.dir, "agent.log"),
	})
	if err != nil {
		return fmt.Errorf("replica %q: %w", r.opts.Name, err)
	}
	return AwaitReady(ctx, r.process, r.sandbox.pki.ca, r.EndpointURL())
}

// Stop ends the agent in an orderly way (SIGTERM) and kills it after grace. Start starts it again.
func (r *Replica) Stop(grace time.Duration) error {
	if r.process == nil {
		return nil
	}
	return r.process.Stop(grace)
}

// Process is the agent's process, another one after Start.
func (r *Replica) Process() *controlplane.Process { return r.process }

// EndpointURL is the direct endpoint over HTTPS, without the path of a door.
func (r *Replica) EndpointURL() string { return fmt.Sprintf("https://localhost:%d", r.ports.https) }

// EndpointHTTPURL is the direct endpoint as an ingress in front would reach it.
func (r *Replica) EndpointHTTPURL() string { return fmt.Sprintf("http://localhost:%d", r.ports.http) }

// InnerURL is the inner listener.
func (r *Replica) InnerURL() string { return fmt.Sprintf("https://localhost:%d", r.ports.inner) }

// Dir keeps its files: token, kubeconfig, audit.log, agent.log.
func (r *Replica) Dir() string { return r.dir }

// RenewCredential puts a new token for the API server in place of the replica's.
func (r *Replica) RenewCredential(ctx context.Context) error {
	token, err := r.sandbox.cluster.ServiceAccountToken(ctx, agentNamespace, agentAccount, tokenTTL)
	if err != nil {
		return err
	}
	return r.ReplaceCredential([]byte(token))
}

// ReplaceCredential puts content in place of the replica's token file, which may be a broken one.
func (r *Replica) ReplaceCredential(content []byte) error {
	path := filepath.Join(r.dir, "token")
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return fmt.Errorf("replica's token: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("replica's token: %w", err)
	}
	return nil
}

// EndpointAuthority signs the agents' serving certificates.
func (s *Sandbox) EndpointAuthority() *controlplane.CA { return s.pki.ca }
