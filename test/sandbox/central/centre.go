package central

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"

	"loft.sh/agent/artifacts"
	storageclient "loft.sh/agent/generated/clientset/versioned/typed/storage/v1"
	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/sandbox"
)

const (
	namespace      = "loft"
	managerAccount = "loft-manager"
	managerService = "loft-manager-apiservice"
	apiService     = "v1.management.loft.sh"
	storageGroup   = "storage.loft.sh/v1"
)

// startCentre starts the central cluster and installs in it what the manager needs.
func (c *Central) startCentre(ctx context.Context) (err error) {
	if err := c.makeCertificates(); err != nil {
		return err
	}
	if c.managers, err = c.newManagers(); err != nil {
		return err
	}
	c.cluster, err = controlplane.Start(ctx, controlplane.Options{
		Name: "central", Dir: c.path("central"), Log: c.opts.Log, ControllerManager: true,
	})
	if err != nil {
		return err
	}
	if c.storage, err = storageclient.NewForConfig(c.cluster.RESTConfig()); err != nil {
		return fmt.Errorf("client of the central cluster: %w", err)
	}
	objects, err := artifacts.ManagerObjects()
	if err != nil {
		return err
	}
	wanted, err := c.adapt(objects)
	if err != nil {
		return err
	}
	if err := sandbox.Apply(ctx, c.cluster.RESTConfig(), wanted); err != nil {
		return err
	}
	kinds := 0
	for _, object := range wanted {
		if object.GetKind() == "CustomResourceDefinition" {
			kinds++
		}
	}
	return c.awaitStorage(ctx, kinds)
}

// makeCertificates makes the certificate of the manager's doors.
func (c *Central) makeCertificates() (err error) {
	if c.ca, err = controlplane.NewCA("manager-ca"); err != nil {
		return err
	}
	if _, _, err := c.ca.KeyPair().WriteFiles(c.path("pki"), "ca"); err != nil {
		return err
	}
	pair, err := c.ca.IssueServing("localhost", "127.0.0.1", managerService+"."+namespace+".svc")
	if err != nil {
		return err
	}
	_, _, err = pair.WriteFiles(c.path("pki"), "manager")
	return err
}

// adapt leaves out what has no place beside a cluster without kubelets, and has the rest lead to the
// first replica of the manager.
func (c *Central) adapt(objects []*unstructured.Unstructured) ([]*unstructured.Unstructured, error) {
	var wanted []*unstructured.Unstructured
	for _, object := range objects {
		switch kind := object.GetKind(); {
		case kind == "Deployment", kind == "PodDisruptionBudget", kind == "NetworkPolicy":
			continue
		case kind == "Service" && object.GetName() != managerService:
			continue
		}
		if err := sandbox.LeadHere(object, c.managers[0].ports.inner, c.ca); err != nil {
			return nil, fmt.Errorf("adapt %s %q: %w", object.GetKind(), object.GetName(), err)
		}
		wanted = append(wanted, object)
	}
	return wanted, nil
}

// awaitStorage waits until that many kinds of custom resources are served.
func (c *Central) awaitStorage(ctx context.Context, kinds int) error {
	client, err := discovery.NewDiscoveryClientForConfig(c.cluster.RESTConfig())
	if err != nil {
		return fmt.Errorf("client of the central cluster: %w", err)
	}
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		list, err := client.ServerResourcesForGroupVersionWithContext(ctx, storageGroup)
		if err != nil {
			return false, nil
		}
		served := map[string]bool{}
		for _, resource := range list.APIResources {
			served[resource.Kind] = true
		}
		return len(served) >= kinds, nil
	})
	if err != nil {
		return fmt.Errorf("custom resources of %s are not served: %w", storageGroup, err)
	}
	return nil
}
