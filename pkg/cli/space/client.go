// Package space asks connected clusters about spaces and their sleep, by way of the manager.
//
// What surprises: requests say that they are no activity (X-Sleep-Mode-Ignore), or looking at what
// sleeps would wake it.
package space

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	clusterclient "loft.sh/agent/generated/clientset/versioned/typed/cluster/v1"
	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/session"
)

// Client asks one cluster.
type Client struct {
	login   session.Session
	cluster string
	api     clusterclient.ClusterV1Interface
}

// New returns a client for a cluster of the manager of login.
func New(login session.Session, cluster string) (*Client, error) {
	config := centre.RESTConfig(login, "/kubernetes/cluster/"+cluster)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return noActivity{next} })
	api, err := clusterclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client for cluster %s: %w", cluster, err)
	}
	return &Client{login: login, cluster: cluster, api: api}, nil
}

// noActivity marks requests as none that keeps a space awake.
type noActivity struct{ next http.RoundTripper }

// RoundTrip sends the request.
func (n noActivity) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Sleep-Mode-Ignore", "true")
	return n.next.RoundTrip(r)
}

func (c *Client) explain(err error) error {
	return fmt.Errorf("cluster %s: %w", c.cluster, centre.Explain(c.login, err))
}

// Get returns a space; nil: there is none that the person may use.
func (c *Client) Get(ctx context.Context, name string) (*clusterv1.Space, error) {
	space, err := c.api.Spaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.explain(err)
	}
	return space, nil
}

// Create makes a space.
func (c *Client) Create(ctx context.Context, space *clusterv1.Space) error {
	if _, err := c.api.Spaces().Create(ctx, space, metav1.CreateOptions{}); err != nil {
		return c.explain(err)
	}
	return nil
}

// Delete deletes a space with all that is in it. One that is gone already is no error.
func (c *Client) Delete(ctx context.Context, name string) error {
	if err := c.api.Spaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return c.explain(err)
	}
	return nil
}

// SleepMode returns how a space sleeps.
func (c *Client) SleepMode(ctx context.Context, name string) (*clusterv1.SleepModeConfig, error) {
	list, err := c.api.SleepModeConfigs(name).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, c.explain(err)
	}
	if len(list.Items) != 1 {
		return nil, fmt.Errorf("cluster %s: the space %s has %d configurations of sleep mode, and not one", c.cluster, name, len(list.Items))
	}
	return &list.Items[0], nil
}

// Sleep puts a space to sleep. Nothing but a person wakes it for so many seconds, or ever if that is
// 0; nil: whoever uses it.
func (c *Client) Sleep(ctx context.Context, name string, seconds *int64) error {
	return c.change(ctx, name, func(config *clusterv1.SleepModeConfig) {
		config.Spec.ForceSleep, config.Spec.ForceSleepDuration = true, seconds
	})
}

// Wake wakes a space.
func (c *Client) Wake(ctx context.Context, name string) error {
	return c.change(ctx, name, func(config *clusterv1.SleepModeConfig) {
		config.Spec.ForceSleep, config.Spec.ForceSleepDuration = false, nil
		config.Status.LastActivity = time.Now().Unix()
	})
}

// change writes the one configuration back as a whole: creating it updates it. Somebody else's write
// in between is read again.
func (c *Client) change(ctx context.Context, name string, change func(*clusterv1.SleepModeConfig)) error {
	for {
		config, err := c.SleepMode(ctx, name)
		if err != nil {
			return err
		}
		change(config)
		_, err = c.api.SleepModeConfigs(name).Create(ctx, config, metav1.CreateOptions{})
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) || ctx.Err() != nil {
			return c.explain(err)
		}
	}
}

// Found is a space and where it is.
type Found struct {
	Cluster string
	Space   clusterv1.Space
}

// List returns the spaces in clusters that the person may use, sorted by name. Clusters that the
// person may not ask are left out; told is called for those that do not answer.
func List(ctx context.Context, login session.Session, clusters []string, told func(error)) []Found {
	var lock sync.Mutex
	var found []Found
	var wait sync.WaitGroup
	for _, cluster := range clusters {
		wait.Go(func() {
			spaces, err := list(ctx, login, cluster)
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				told(err)
			}
			for _, space := range spaces {
				found = append(found, Found{Cluster: cluster, Space: space})
			}
		})
	}
	wait.Wait()
	slices.SortFunc(found, func(a, b Found) int {
		return strings.Compare(a.Space.Name+"/"+a.Cluster, b.Space.Name+"/"+b.Cluster)
	})
	return found
}

func list(ctx context.Context, login session.Session, cluster string) ([]clusterv1.Space, error) {
	c, err := New(login, cluster)
	if err != nil {
		return nil, err
	}
	spaces, err := c.api.Spaces().List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.explain(err)
	}
	return spaces.Items, nil
}
