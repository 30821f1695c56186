package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/nodes"
)

// Options of a sandbox.
type Options struct {
	// Dir keeps everything; required.
	Dir string
	// Nodes is how many simulated nodes there are; 0: none, and no pod runs.
	Nodes int
	// AgentArgs are added to the agent's flags.
	AgentArgs []string
	// APIServerArgs are added to the API server's flags.
	APIServerArgs []string
	// Log takes what is done; nil means silence.
	Log io.Writer
}

// Sandbox is a connected cluster and its agent, running.
type Sandbox struct {
	opts    Options
	cluster *controlplane.ControlPlane
	nodes   *nodes.Nodes
	agent   *controlplane.Process
	ports   ports
	pki     pki
	keys    Keys
	lock    sync.Mutex
	// replicas are agents that were started beside the first one.
	replicas []*Replica
}

// ports of the agent.
type ports struct{ inner, https, http int }

// Start starts a sandbox. It is ready when Start returns: the agent is, and the APIService is
// available. What was started is stopped again where something fails.
func Start(ctx context.Context, opts Options) (_ *Sandbox, err error) {
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, fmt.Errorf("sandbox directory: %w", err)
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("sandbox directory: %w", err)
	}
	s := &Sandbox{opts: opts}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"start the control plane", s.startCluster},
		{"start simulated nodes", s.startNodes},
		{"make keys and certificates", s.makeKeys},
		{"apply the agent's manifests", s.applyManifests},
		{"write the trust bundle", s.writeTrust},
		{"start the agent", s.startAgent},
		{"wait for the APIService", s.awaitAPIService},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("sandbox: %s: %w", step.what, err)
		}
		_, _ = fmt.Fprintf(opts.Log, "sandbox: %s (%.1fs)\n", step.what, time.Since(began).Seconds())
	}
	return s, nil
}

// Stop ends every process.
func (s *Sandbox) Stop() error {
	var errs []error
	for _, r := range s.replicas {
		errs = append(errs, r.Stop(stopGrace))
	}
	if s.agent != nil {
		errs = append(errs, s.agent.Stop(stopGrace))
	}
	if s.nodes != nil {
		errs = append(errs, s.nodes.Stop())
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Stop())
	}
	return errors.Join(errs...)
}

// Cluster is the connected cluster.
func (s *Sandbox) Cluster() *controlplane.ControlPlane { return s.cluster }

// Keys sign tokens that the agent trusts.
func (s *Sandbox) Keys() Keys { return s.keys }

// Agent is the agent's process.
func (s *Sandbox) Agent() *controlplane.Process { return s.agent }

// EndpointURL is the direct endpoint over HTTPS, without the path of a door.
func (s *Sandbox) EndpointURL() string { return fmt.Sprintf("https://localhost:%d", s.ports.https) }

// EndpointHTTPURL is the direct endpoint as an ingress in front would reach it.
func (s *Sandbox) EndpointHTTPURL() string { return fmt.Sprintf("http://localhost:%d", s.ports.http) }

// InnerURL is the agent's inner listener.
func (s *Sandbox) InnerURL() string { return fmt.Sprintf("https://localhost:%d", s.ports.inner) }

// EndpointCA is the file with the CA of the endpoint's certificate.
func (s *Sandbox) EndpointCA() string { return s.path("pki", "endpoint-ca.crt") }

// AgentAuditLog is the agent's audit log.
func (s *Sandbox) AgentAuditLog() string { return s.path("agent", "audit.log") }

func (s *Sandbox) path(elem ...string) string {
	return filepath.Join(append([]string{s.opts.Dir}, elem...)...)
}

func (s *Sandbox) startCluster(ctx context.Context) error {
	args := s.opts.APIServerArgs
	if s.opts.Nodes > 0 {
		nodeArgs, err := nodes.APIServerArgs(s.path("nodes"))
		if err != nil {
			return err
		}
		args = append(nodeArgs, args...)
	}
	var err error
	s.cluster, err = controlplane.Start(ctx, controlplane.Options{
		Name: "sandbox", Dir: s.path("cluster"), Log: s.opts.Log, ControllerManager: true, ExtraAPIServerArgs: args,
	})
	return err
}

func (s *Sandbox) startNodes(ctx context.Context) error {
	if s.opts.Nodes == 0 {
		return nil
	}
	var err error
	s.nodes, err = nodes.Start(ctx, nodes.Options{
		Kubeconfig: s.cluster.AdminKubeconfig(), Dir: s.path("nodes"), Count: s.opts.Nodes, Log: s.opts.Log,
	})
	return err
}

func (s *Sandbox) adminClient() (kubernetes.Interface, error) {
	client, err := kubernetes.NewForConfig(s.cluster.RESTConfig())
	if err != nil {
		return nil, fmt.Errorf("client of the connected cluster: %w", err)
	}
	return client, nil
}

// bundle is the trust bundle that the agent starts with.
func (k Keys) bundle(clusterUID string) *accesstoken.Bundle {
	b := &accesstoken.Bundle{Issuer: k.signer.Issuer(), ClusterUID: clusterUID, AllowAllClusters: true}
	b.JWKS.Keys = append(b.JWKS.Keys, k.signer.PublicJWK())
	return b
}
