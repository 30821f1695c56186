// Package gateway runs the manager's gateway before a real cluster and its agent: what the aggregator
// in between makes of requests is no fake's business.
//
// What surprises: the central cluster is a fake, since the gateway reads it from informers alone. All
// tests share one connected cluster, started by TestMain, which the gateway reaches with the rights of
// artifacts/connect.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"loft.sh/agent/artifacts"
	"loft.sh/agent/test/sandbox"
)

// shared is the connected cluster of all tests, and sharedAccount the manager's account there.
var (
	shared        *sandbox.Sandbox
	sharedAccount *rest.Config
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "loft-gateway-")
	if err != nil {
		return 1, fmt.Errorf("sandbox's directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	shared, err = sandbox.Start(ctx, sandbox.Options{
		Dir: dir, Nodes: 1, Log: os.Stderr,
		// The manager's word about the address of its person is taken.
		AgentArgs: []string{"--direct-trusted-proxies=127.0.0.0/8,::1/128"},
	})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, shared.Stop()) }()
	if sharedAccount, err = account(ctx); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// account gives the manager an account in the cluster.
func account(ctx context.Context) (*rest.Config, error) {
	config := shared.Cluster().RESTConfig()
	objects, err := artifacts.ConnectObjects()
	if err != nil {
		return nil, err
	}
	if err := sandbox.Apply(ctx, config, objects); err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client of the cluster: %w", err)
	}
	var token []byte
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		secret, err := client.CoreV1().Secrets("loft").Get(ctx, "loft-connect-token", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		token = secret.Data[corev1.ServiceAccountTokenKey]
		return len(token) > 0, nil
	})
	if err != nil {
		return nil, fmt.Errorf("token of the manager: %w", err)
	}
	return shared.Cluster().TokenConfig(string(token)), nil
}
