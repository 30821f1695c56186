// Package clusters runs the cluster controller with a real API server that is the central cluster and
// the connected one at once, which the controller enters with the rights of artifacts/connect.
//
// What surprises: no agent runs, so none becomes ready; what an agent that runs adds is tested by
// test/e2e. Since there is one cluster, one Cluster at a time leads to it: tests run one by one, and
// each deletes its own.
package clusters

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"loft.sh/agent/artifacts"
	"loft.sh/agent/generated/clientset/versioned"
	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/sandbox"
)

// shared is the one cluster, with clients of an administrator; account is the manager's in it.
var shared struct {
	*controlplane.ControlPlane
	kube    kubernetes.Interface
	storage versioned.Interface
	account *rest.Config
}

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
	// The token of the manager's account is made by the controller manager.
	shared.ControlPlane, err = controlplane.Start(ctx, controlplane.Options{Name: "clusters", ControllerManager: true, Log: os.Stderr})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, shared.Stop()) }()
	if shared.kube, err = kubernetes.NewForConfig(shared.RESTConfig()); err != nil {
		return 1, err
	}
	if shared.storage, err = versioned.NewForConfig(shared.RESTConfig()); err != nil {
		return 1, err
	}
	if err := define(ctx); err != nil {
		return 1, err
	}
	if err := connect(ctx); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// define makes the manager's custom resources.
func define(ctx context.Context) error {
	objects, err := artifacts.ManagerObjects()
	if err != nil {
		return err
	}
	var definitions []*unstructured.Unstructured
	for _, object := range objects {
		if object.GetKind() == "CustomResourceDefinition" {
			definitions = append(definitions, object)
		}
	}
	if err := sandbox.Apply(ctx, shared.RESTConfig(), definitions); err != nil {
		return err
	}
	v1 := shared.storage.StorageV1()
	return poll(ctx, func(ctx context.Context) error {
		_, clusters := v1.Clusters().List(ctx, metav1.ListOptions{})
		_, accesses := v1.ClusterAccesses().List(ctx, metav1.ListOptions{})
		_, users := v1.Users().List(ctx, metav1.ListOptions{})
		_, teams := v1.Teams().List(ctx, metav1.ListOptions{})
		return errors.Join(clusters, accesses, users, teams)
	})
}

// connect makes the manager's account, as "loft connect cluster" does.
func connect(ctx context.Context) error {
	objects, err := artifacts.ConnectObjects()
	if err != nil {
		return err
	}
	if err := sandbox.Apply(ctx, shared.RESTConfig(), objects); err != nil {
		return err
	}
	return poll(ctx, func(ctx context.Context) error {
		secret, err := shared.kube.CoreV1().Secrets("loft").Get(ctx, "loft-connect-token", metav1.GetOptions{})
		if err != nil {
			return err
		}
		token := secret.Data[corev1.ServiceAccountTokenKey]
		if len(token) == 0 {
			return errors.New("no token yet")
		}
		shared.account = shared.TokenConfig(string(token))
		return nil
	})
}

// poll repeats what fails until it does not, for a minute.
func poll(ctx context.Context, try func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		last = try(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return nil
}
