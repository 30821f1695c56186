// Package sleepmode puts namespaces of a real cluster to sleep and wakes them, with the rights that
// the agent's manifests give.
//
// What surprises: there are no nodes, so pods stay pending; what is compared is what the API server
// holds. The part of the agent that is tested runs inside of the test, so that it can be killed between
// any two of its writes.
package sleepmode

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"loft.sh/agent/artifacts"
	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/sandbox"
)

var (
	// host is the cluster of all tests.
	host *controlplane.ControlPlane
	// admin and objects are an administrator's clients.
	admin   kubernetes.Interface
	objects dynamic.Interface
	// agentConfig is what the agent's manifests give to its service account.
	agentConfig *rest.Config
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
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	host, err = controlplane.Start(ctx, controlplane.Options{Name: "sleepmode", Log: os.Stderr, ControllerManager: true})
	if err != nil {
		return 0, err
	}
	defer func() {
		if stopped := host.Stop(); err == nil {
			err = stopped
		}
	}()
	if err := install(ctx); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// install applies the agent's account and its rights.
func install(ctx context.Context) error {
	all, err := artifacts.AgentObjects()
	if err != nil {
		return err
	}
	kept := all[:0]
	for _, object := range all {
		switch object.GetKind() {
		case "APIService", "Deployment": // the agent is the test
		default:
			kept = append(kept, object)
		}
	}
	if err := sandbox.Apply(ctx, host.RESTConfig(), kept); err != nil {
		return err
	}
	token, err := host.ServiceAccountToken(ctx, "loft", "loft-agent", 0)
	if err != nil {
		return err
	}
	agentConfig = host.TokenConfig(token)
	agentConfig.QPS = -1
	if admin, err = kubernetes.NewForConfig(host.RESTConfig()); err != nil {
		return err
	}
	objects, err = dynamic.NewForConfig(host.RESTConfig())
	return err
}
