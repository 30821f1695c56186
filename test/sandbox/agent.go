package sandbox

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"loft.sh/agent/test/controlplane"
)

// stopGrace is how long the agent may take to end.
const stopGrace = 20 * time.Second

// startAgent builds the agent and runs it as its service account.
func (s *Sandbox) startAgent(ctx context.Context) error {
	binary := s.agentBinary()
	if s.opts.AgentBinary == "" {
		if err := Build(ctx, "./cmd/loft-agent", binary); err != nil {
			return err
		}
	}
	if err := WriteCredential(ctx, s.cluster, s.agentAccount(s.path("agent"))); err != nil {
		return err
	}
	args := append(s.agentArgs(s.path("agent"), s.ports), s.opts.AgentArgs...)
	var err error
	s.agent, err = controlplane.StartProcess(controlplane.ProcessConfig{
		Name: "loft-agent", Path: binary, Args: args, LogFile: s.path("agent", "agent.log"),
	})
	if err != nil {
		return err
	}
	return AwaitReady(ctx, s.agent, s.pki.ca, s.EndpointURL())
}

// agentBinary is the path of the agent's program.
func (s *Sandbox) agentBinary() string {
	if s.opts.AgentBinary != "" {
		return s.opts.AgentBinary
	}
	return s.path("bin", "loft-agent")
}

// awaitAccount waits for what a manager installs and the agent cannot start without.
func (s *Sandbox) awaitAccount(ctx context.Context) error {
	client, err := s.adminClient()
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		if _, last = client.CoreV1().ServiceAccounts(agentNamespace).Get(ctx, agentAccount, metav1.GetOptions{}); last != nil {
			return false, nil
		}
		_, last = client.CoreV1().ConfigMaps(agentNamespace).Get(ctx, trustConfigMap, metav1.GetOptions{})
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("nobody installed the agent: %w (%w)", err, last)
	}
	return nil
}

// agentAccount is the account of an agent whose files lie in dir.
func (s *Sandbox) agentAccount(dir string) Account {
	return Account{Namespace: agentNamespace, Name: agentAccount, Dir: dir}
}

// agentArgs are the flags of an agent whose files lie in dir.
func (s *Sandbox) agentArgs(dir string, p ports) []string {
	certificate, key := s.path("pki", "agent.crt"), s.path("pki", "agent.key")
	return []string{
		"--kubeconfig=" + filepath.Join(dir, "kubeconfig"),
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(p.inner),
		"--tls-cert-file=" + certificate,
		"--tls-private-key-file=" + key,
		"--direct-bind-address=127.0.0.1",
		"--direct-secure-port=" + strconv.Itoa(p.https),
		"--direct-insecure-bind-address=127.0.0.1",
		"--direct-insecure-port=" + strconv.Itoa(p.http),
		"--trust-bundle-configmap=" + agentNamespace + "/" + trustConfigMap,
		"--audit-log-path=" + filepath.Join(dir, "audit.log"),
		"--audit-log-mode=blocking",
	}
}

// ClientConfig is a client's configuration for the cluster through the endpoint, over HTTPS.
func (s *Sandbox) ClientConfig(token string) *rest.Config {
	return &rest.Config{
		Host: s.EndpointURL() + "/kubernetes/cluster", BearerToken: token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: s.EndpointCA()}, QPS: -1,
	}
}

func freePorts() (ports, error) {
	found, err := FreePorts(3)
	if err != nil {
		return ports{}, err
	}
	return ports{inner: found[0], https: found[1], http: found[2]}, nil
}
