package clusters

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	storagev1 "loft.sh/agent/apis/storage/v1"
	storageclient "loft.sh/agent/generated/clientset/versioned/typed/storage/v1"
	storageinformers "loft.sh/agent/generated/informers/externalversions/storage/v1"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/clusterstatus"
	"loft.sh/agent/pkg/manager/connection"
	"loft.sh/agent/pkg/manager/hosts"
	"loft.sh/agent/pkg/manager/installer"
	"loft.sh/agent/pkg/manager/lanes"
	"loft.sh/agent/pkg/manager/prober"
)

const (
	// slowShare is the share of workers that the dead get.
	slowShare = 4
	// passRequests is how many requests of the longest duration one pass may wait for.
	passRequests = 6
	minBackoff   = time.Second
	maxBackoff   = time.Minute
)

// Bundles makes trust bundles. Changed is closed when they next change; it is asked for first.
type Bundles interface {
	Bundle(cluster *storagev1.Cluster) (*accesstoken.Bundle, error)
	Changed() <-chan struct{}
}

// Config is what a Controller needs. Every field is required.
type Config struct {
	Options
	// Storage writes custom resources of the central cluster, without a rate limit.
	Storage storageclient.StorageV1Interface
	// Informers are the caller's to start.
	Informers storageinformers.Interface
	// Secrets is the informer of Secrets in the manager's namespace; the caller's to start, too.
	Secrets     cache.SharedIndexInformer
	Connections *connection.Connections
	Bundles     Bundles
	// Signer signs the token that probes show.
	Signer prober.Signer
	Events events.EventRecorder
	Clock  clock.WithTicker
}

// Controller keeps connected clusters.
type Controller struct {
	Config
	hosts     *hosts.Hosts
	installer *installer.Installer
	prober    *prober.Prober
	status    *clusterstatus.Writer
	pushes    *pushes
	bound     *bound

	agent, trust, access, endpoint *lanes.Lanes
}

// New returns a controller that does nothing before Run. Its informers exist from then on.
func New(c Config) (*Controller, error) {
	if c.Storage == nil || c.Informers == nil || c.Secrets == nil || c.Connections == nil || c.Bundles == nil || c.Events == nil || c.Clock == nil {
		return nil, errors.New("cluster controller: every field of its configuration is required")
	}
	installs, err := installer.New(c.AgentImage, c.Clock)
	if err != nil {
		return nil, err
	}
	controller := &Controller{
		Config: c, installer: installs,
		prober: prober.New(c.Signer, c.RequestTimeout, c.Clock),
		status: clusterstatus.New(c.Storage.Clusters(), c.Events, c.Clock),
		pushes: newPushes(),
	}
	controller.hosts = hosts.New(c.Connections, controller.clusters, c.RequestTimeout, c.Clock)
	controller.bound = newBound(controller)
	controller.makeLanes()
	// Asking for an informer has the factory make it.
	for _, informer := range controller.informers() {
		_ = informer.HasSynced()
	}
	return controller, nil
}

// informers are those of custom resources that decide about clusters.
func (c *Controller) informers() map[string]cache.SharedIndexInformer {
	return map[string]cache.SharedIndexInformer{
		"clusters": c.Informers.Clusters().Informer(), "clusteraccesses": c.Informers.ClusterAccesses().Informer(),
		"users": c.Informers.Users().Informer(), "teams": c.Informers.Teams().Informer(), "secrets": c.Secrets,
	}
}

// Run keeps clusters until ctx is done and all work has ended. It may be called again after that, as a
// manager that leads again does.
func (c *Controller) Run(ctx context.Context) error {
	c.makeLanes()
	synced := make([]cache.InformerSynced, 0, len(c.informers()))
	for _, informer := range c.informers() {
		synced = append(synced, informer.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil
	}
	stop, err := c.listen()
	if err != nil {
		return fmt.Errorf("cluster controller: %w", err)
	}
	defer stop()
	klog.FromContext(ctx).Info("Cluster controller leads", "clusters", len(c.clusters()))
	var running sync.WaitGroup
	for _, work := range []func(context.Context){
		c.agent.Run, c.trust.Run, c.access.Run, c.endpoint.Run, c.followBundles, c.countConditions, c.bound.run,
	} {
		running.Go(func() { work(ctx) })
	}
	running.Wait()
	return nil
}

func (c *Controller) makeLanes() {
	c.agent = c.lanes("agent", c.syncAgent, clusterIsDead)
	c.trust = c.lanes("trust", c.syncTrust, clusterIsDead)
	c.access = c.lanes("access", c.syncAccess, clusterIsDead)
	c.endpoint = c.lanes("endpoint", c.syncEndpoint, endpointIsDead)
}

func (c *Controller) lanes(name string, work func(context.Context, string) (lanes.Result, error), dead func(*storagev1.Cluster) bool) *lanes.Lanes {
	return lanes.New(lanes.Config{
		Name: name, Work: work, Workers: c.Workers, SlowWorkers: max(1, c.Workers/slowShare), Timeout: passRequests * c.RequestTimeout,
		MinBackoff: minBackoff, MaxBackoff: maxBackoff, Clock: c.Clock,
		Dead: func(name string) bool {
			cluster := c.cluster(name)
			return cluster != nil && dead(cluster)
		},
	})
}

// followBundles has every cluster's bundle pushed when bundles change.
func (c *Controller) followBundles(ctx context.Context) {
	for {
		changed := c.Bundles.Changed()
		for _, cluster := range c.clusters() {
			c.trust.Add(cluster.Name)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// cluster returns nil where there is none of that name.
func (c *Controller) cluster(name string) *storagev1.Cluster {
	cluster, err := c.Informers.Clusters().Lister().Get(name)
	if err != nil {
		return nil
	}
	return cluster
}

// clusters lists a cache, which does not fail.
func (c *Controller) clusters() []*storagev1.Cluster {
	all, _ := c.Informers.Clusters().Lister().List(labels.Everything())
	return all
}

func (c *Controller) accesses() []*storagev1.ClusterAccess {
	all, _ := c.Informers.ClusterAccesses().Lister().List(labels.Everything())
	return all
}

// forget drops everything that is remembered of a Cluster that is gone.
func (c *Controller) forget(cluster *storagev1.Cluster) {
	for _, work := range []*lanes.Lanes{c.agent, c.trust, c.access, c.endpoint} {
		work.Forget(cluster.Name)
	}
	c.hosts.Forget(cluster)
	c.installer.Forget(cluster.UID)
	c.status.Forget(cluster.UID)
	c.pushes.forget(cluster.UID)
	c.bound.forget(cluster.Name)
}
