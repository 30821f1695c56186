package sandbox

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"loft.sh/agent/test/controlplane"
)

const (
	// stopGrace is how long the agent may take to end.
	stopGrace = 20 * time.Second
	// agentTokenTTL is the life of the agent's own credential; a sandbox does not live longer.
	agentTokenTTL = 48 * time.Hour
	readyTimeout  = time.Minute
	// agentVersion is what the agent of a sandbox says it is.
	agentVersion = "v3.0.0-sandbox"
)

// startAgent builds the agent and runs it as its service account.
func (s *Sandbox) startAgent(ctx context.Context) error {
	binary, err := BuildAgent(ctx, s.path("bin"))
	if err != nil {
		return err
	}
	if err := s.agentCredential(ctx, s.path("agent"), s.cluster.URL()); err != nil {
		return err
	}
	args := append(s.agentArgs(s.path("agent"), s.ports), s.opts.AgentArgs...)
	s.agent, err = controlplane.StartProcess(controlplane.ProcessConfig{
		Name: "loft-agent", Path: binary, Args: args, LogFile: s.path("agent", "agent.log"),
	})
	if err != nil {
		return err
	}
	return s.awaitReady(ctx, s.agent, s.EndpointURL())
}

// BuildAgent builds cmd/loft-agent into dir and returns the path of the program.
func BuildAgent(ctx context.Context, dir string) (string, error) {
	root, err := controlplane.ModuleRoot()
	if err != nil {
		return "", err
	}
	path := dir + "/loft-agent"
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-X k8s.io/component-base/version.gitVersion="+agentVersion, "-o", path, "./cmd/loft-agent")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the agent: %w\n%s", err, out)
	}
	return path, nil
}

// agentCredential writes a kubeconfig that names a token file, as a pod's service account does,
// and reaches the API server at host.
func (s *Sandbox) agentCredential(ctx context.Context, dir, host string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("agent's directory: %w", err)
	}
	token, err := s.cluster.ServiceAccountToken(ctx, agentNamespace, agentAccount, agentTokenTTL)
	if err != nil {
		return err
	}
	tokenFile := filepath.Join(dir, "token")
	if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
		return fmt.Errorf("agent's token: %w", err)
	}
	config := s.cluster.TokenConfig("")
	config.BearerTokenFile, config.Host = tokenFile, host
	return controlplane.WriteKubeconfig(filepath.Join(dir, "kubeconfig"), "host", config)
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

// awaitReady waits for the outer /readyz, and gives up when the agent has ended.
func (s *Sandbox) awaitReady(ctx context.Context, agent *controlplane.Process, endpoint string) error {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.pki.ca.Pool()}}}
	defer client.CloseIdleConnections()
	var last string
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		if !agent.Running() {
			return false, fmt.Errorf("the agent ended: %w\n%s", agent.Err(), agent.Tail(20))
		}
		ready, answer := get(ctx, client, endpoint+"/readyz?verbose")
		last = answer
		return ready, nil
	})
	if err != nil {
		return fmt.Errorf("agent not ready: %w\n%s", err, last)
	}
	return nil
}

func get(ctx context.Context, client *http.Client, url string) (bool, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err.Error()
	}
	res, err := client.Do(req)
	if err != nil {
		return false, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode == http.StatusOK, string(body)
}

// ClientConfig is a client's configuration for the cluster through the endpoint, over HTTPS.
func (s *Sandbox) ClientConfig(token string) *rest.Config {
	return &rest.Config{
		Host: s.EndpointURL() + "/kubernetes/cluster", BearerToken: token,
		TLSClientConfig: rest.TLSClientConfig{CAFile: s.EndpointCA()}, QPS: -1,
	}
}

// freePorts finds three ports that are free now.
func freePorts() (ports, error) {
	var found [3]int
	for i := range found {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return ports{}, fmt.Errorf("free port: %w", err)
		}
		defer func() { _ = listener.Close() }()
		found[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports{inner: found[0], https: found[1], http: found[2]}, nil
}

func base64PEM(pem []byte) string { return base64.StdEncoding.EncodeToString(pem) }
