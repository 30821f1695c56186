package centre

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	managementv1 "loft.sh/agent/apis/management/v1"
	"loft.sh/agent/pkg/cli/failure"
)

// Chooser asks a person which of choices is meant, and returns its index.
type Chooser interface {
	Choose(question string, choices []string) (int, error)
}

// Cluster returns the cluster that is called name, or else the one that is shown to people under that
// name. Without a name, or where several clusters are shown under it, it asks. Its error for a name
// that nothing has says which names look like it.
func (c *Client) Cluster(ctx context.Context, name string, ask Chooser) (*managementv1.Cluster, error) {
	if name != "" && len(content.IsDNS1123Subdomain(name)) == 0 {
		cluster, err := c.management.Clusters().Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			return cluster, nil
		}
		if !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
			return nil, c.explain(err)
		}
	}
	all, err := c.Clusters(ctx)
	if err != nil {
		return nil, err
	}
	found := all.Items
	if name != "" {
		found = shownAs(all.Items, name)
	}
	switch {
	case len(found) == 1:
		return &found[0], nil
	case name == "" && len(found) == 0:
		return nil, errors.New("there is no cluster that you may use: ask for access to one, or connect one with 'loft connect cluster NAME'")
	case len(found) == 0:
		return nil, noCluster(name, all.Items)
	}
	return choose(ask, name, found)
}

// shownAs are the clusters whose display name is name.
func shownAs(clusters []managementv1.Cluster, name string) []managementv1.Cluster {
	var found []managementv1.Cluster
	for _, cluster := range clusters {
		if cluster.Spec.DisplayName == name {
			found = append(found, cluster)
		}
	}
	return found
}

func noCluster(name string, clusters []managementv1.Cluster) error {
	return fmt.Errorf("cluster %q does not exist, or you don't have permission to use it%s", name,
		failure.DidYouMean(name, "clusters", Names(clusters)))
}

func choose(ask Chooser, name string, found []managementv1.Cluster) (*managementv1.Cluster, error) {
	names := Names(found)
	question := "Which cluster?"
	if name != "" {
		question = fmt.Sprintf("Which of the clusters called %q?", name)
	}
	i, err := ask.Choose(question, names)
	if err != nil {
		return nil, failure.Usagef("%s %s", question, failure.Listed(names))
	}
	return &found[i], nil
}

// Names are the names of clusters.
func Names(clusters []managementv1.Cluster) []string {
	names := make([]string, 0, len(clusters))
	for _, cluster := range clusters {
		names = append(names, cluster.Name)
	}
	return names
}

// Existing returns the cluster called name; nil: there is none that the person may see.
func (c *Client) Existing(ctx context.Context, name string) (*managementv1.Cluster, error) {
	cluster, err := c.management.Clusters().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.explain(err)
	}
	return cluster, nil
}

// CreateCluster has the manager know a cluster. With try set it only says whether it would.
func (c *Client) CreateCluster(ctx context.Context, cluster *managementv1.Cluster, try bool) error {
	var options metav1.CreateOptions
	if try {
		options.DryRun = []string{metav1.DryRunAll}
	}
	if _, err := c.management.Clusters().Create(ctx, cluster, options); err != nil {
		return c.explain(err)
	}
	return nil
}

// SetKubeconfig gives the manager the kubeconfig of a cluster.
func (c *Client) SetKubeconfig(ctx context.Context, cluster string, kubeconfig []byte) error {
	_, err := c.management.Clusters().CreateKubeconfig(ctx, cluster, &managementv1.ClusterKubeconfig{
		Spec: managementv1.ClusterKubeconfigSpec{Config: string(kubeconfig)},
	}, metav1.CreateOptions{})
	if err != nil {
		return c.explain(err)
	}
	return nil
}

// DeleteCluster has the manager forget a cluster, and take its agent out first.
func (c *Client) DeleteCluster(ctx context.Context, name string) error {
	if err := c.management.Clusters().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return c.explain(err)
	}
	return nil
}
