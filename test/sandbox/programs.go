package sandbox

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"loft.sh/agent/test/controlplane"
)

const (
	// tokenTTL is the life of a program's own credential; a sandbox does not live longer.
	tokenTTL     = 48 * time.Hour
	readyTimeout = time.Minute
	// version is what the programs of a sandbox say they are.
	version = "v3.0.0-sandbox"
)

// Build builds a program of this module to path, which says that it is of version "v3.0.0-sandbox".
func Build(ctx context.Context, program, path string) error {
	root, err := controlplane.ModuleRoot()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-X k8s.io/component-base/version.gitVersion="+version, "-o", path, program)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", program, err, out)
	}
	return nil
}

// Account is a service account whose credential lies in files, as a pod has it.
type Account struct {
	Namespace, Name string
	// Dir takes the files token and kubeconfig.
	Dir string
	// Host is where it reaches the API server; empty: directly.
	Host string
}

// WriteCredential writes a kubeconfig that names a token file, as a pod's service account does.
func WriteCredential(ctx context.Context, cluster *controlplane.ControlPlane, account Account) error {
	if err := os.MkdirAll(account.Dir, 0o700); err != nil {
		return fmt.Errorf("directory of a credential: %w", err)
	}
	token, err := cluster.ServiceAccountToken(ctx, account.Namespace, account.Name, tokenTTL)
	if err != nil {
		return err
	}
	tokenFile := filepath.Join(account.Dir, "token")
	if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
		return fmt.Errorf("token of %s: %w", account.Name, err)
	}
	config := cluster.TokenConfig("")
	config.BearerTokenFile = tokenFile
	if account.Host != "" {
		config.Host = account.Host
	}
	return controlplane.WriteKubeconfig(filepath.Join(account.Dir, "kubeconfig"), "host", config)
}

// AwaitReady waits for /readyz at url, whose certificate ca signed, and gives up when the program has
// ended.
func AwaitReady(ctx context.Context, program *controlplane.Process, ca *controlplane.CA, url string) error {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}}
	defer client.CloseIdleConnections()
	var last string
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		if !program.Running() {
			return false, fmt.Errorf("it ended: %w\n%s", program.Err(), program.Tail(20))
		}
		ready, answer := get(ctx, client, url+"/readyz?verbose")
		last = answer
		return ready, nil
	})
	if err != nil {
		return fmt.Errorf("%s is not ready: %w\n%s", program.Name(), err, last)
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

// The ports of programs lie below those that kernels give to whoever asks for any port, and to outgoing
// connections: a port that is free now is still free when its program comes to listen on it.
const (
	firstPort = 20000
	lastPort  = 32000
)

// FreePorts finds ports that are free now, and likely to stay so.
func FreePorts(count int) ([]int, error) {
	var found []int
	var last error
	for range 100 * count {
		if len(found) == count {
			return found, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort)
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			last = err
			continue
		}
		defer func() { _ = listener.Close() }()
		found = append(found, port)
	}
	return nil, fmt.Errorf("no free port: %w", last)
}
