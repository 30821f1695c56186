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
	// Name of the cluster in logs; "sandbox" by default.
	Name string
	// Nodes is how many simulated nodes there are; 0: none, and no pod runs.
	Nodes int
	// AgentBinary is the agent's program; built from this module by default.
	AgentBinary string
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

// step is a part of a start, and what is said about it.
type step struct {
	what string
	do   func(context.Context) error
}

// Start starts a sandbox. It is ready when Start returns: the agent is, and the APIService is
// available. What was started is stopped again where something fails.
func Start(ctx context.Context, opts Options) (*Sandbox, error) {
	return start(ctx, opts, func(s *Sandbox) []step {
		return []step{
			{"start the control plane", s.startCluster},
			{"start simulated nodes", s.startNodes},
			{"make keys and certificates", s.makeKeys},
			{"apply the agent's manifests", s.applyManifests},
			{"write the trust bundle", s.writeTrust},
			{"start the agent", s.startAgent},
			{"wait for the APIService", s.awaitAPIService},
		}
	})
}

// StartBare starts a cluster for a manager to install the agent in: all that is there already is
// the way to an agent outside the cluster. StartAgent follows when the manager has done its part.
func StartBare(ctx context.Context, opts Options) (*Sandbox, error) {
	return start(ctx, opts, func(s *Sandbox) []step {
		return []step{
			{"start the control plane", s.startCluster},
			{"start simulated nodes", s.startNodes},
			{"make certificates", s.makeCertificates},
			{"apply the way to the agent", s.applyWay},
		}
	})
}

// StartAgent starts the agent of a cluster that StartBare started. It waits until the manager has
// installed the agent's account and pushed the trust bundle, and until the APIService is available.
func (s *Sandbox) StartAgent(ctx context.Context) error {
	return s.do(ctx, []step{
		{"wait for the agent's account", s.awaitAccount},
		{"start the agent", s.startAgent},
		{"wait for the APIService", s.awaitAPIService},
	})
}

// RestartAgent ends the agent and starts it again, at the ports that it had and with a new credential.
func (s *Sandbox) RestartAgent(ctx context.Context) error {
	if err := s.agent.Stop(stopGrace); err != nil {
		return err
	}
	return s.do(ctx, []step{{"start the agent again", s.startAgent}})
}

func start(ctx context.Context, opts Options, steps func(*Sandbox) []step) (_ *Sandbox, err error) {
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	if opts.Name == "" {
		opts.Name = "sandbox"
	}
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, fmt.Errorf("sandbox directory: %w", err)
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("sandbox directory: %w", err)
	}
	s := &Sandbox{opts: opts}
	if err := s.do(ctx, steps(s)); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// do does one step after the other and says how long each took.
func (s *Sandbox) do(ctx context.Context, steps []step) error {
	for _, step := range steps {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %s: %w", s.opts.Name, step.what, err)
		}
		_, _ = fmt.Fprintf(s.opts.Log, "%s: %s (%.1fs)\n", s.opts.Name, step.what, time.Since(began).Seconds())
	}
	return nil
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
		Name: s.opts.Name, Dir: s.path("cluster"), Log: s.opts.Log, ControllerManager: true, ExtraAPIServerArgs: args,
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
