package gateway

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	storagev1 "loft.sh/agent/apis/storage/v1"
	storageinformers "loft.sh/agent/generated/informers/externalversions/storage/v1"
	"loft.sh/agent/pkg/manager/connection"
	"loft.sh/agent/pkg/proxy"
	"loft.sh/agent/pkg/statuserr"
)

// upstreamsPeriod is how often the configurations of all clusters are asked for: a changed Secret that
// no informer tells of counts within it. What one tells of counts at once.
const upstreamsPeriod = 3 * time.Second

// Connections say how a cluster is reached. They are asked about each cluster every few seconds, and
// must return the same pointer while nothing has changed.
type Connections interface {
	// Config returns an error of type *connection.Error where the Secret is at fault.
	Config(ctx context.Context, cluster *storagev1.Cluster) (*rest.Config, error)
}

// connected is how one cluster is reached. It is not changed, but for what is known of its silence.
type connected struct {
	name      string
	config    *rest.Config
	upstream  *proxy.Upstream
	forwarder *proxy.Forwarder
	// problem says why there is no forwarder; empty where there is.
	problem string
	silence silence
}

// upstreams are the connections to all clusters, replaced whole, so that a request reads them without
// a lock.
type upstreams struct {
	clusters    storageinformers.ClusterInformer
	connections Connections
	refuse      statuserr.Writer
	synced      []cache.InformerSynced
	// poked holds a value where clusters have changed.
	poked   chan struct{}
	current atomic.Pointer[map[string]*connected]
}

func newUpstreams(c *Config) (*upstreams, error) {
	u := &upstreams{
		clusters: c.Clusters, connections: c.Connections, refuse: statuserr.NewWriter(c.Serializer), poked: make(chan struct{}, 1),
		synced: []cache.InformerSynced{c.Clusters.Informer().HasSynced},
	}
	if c.Secrets != nil {
		u.synced = append(u.synced, c.Secrets.HasSynced)
		poke := cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { u.poke() }, DeleteFunc: func(any) { u.poke() }, UpdateFunc: func(any, any) { u.poke() },
		}
		if _, err := c.Secrets.AddEventHandler(poke); err != nil {
			return nil, fmt.Errorf("listen to Secrets: %w", err)
		}
	}
	_, err := c.Clusters.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { u.poke() }, DeleteFunc: func(any) { u.poke() },
		UpdateFunc: func(before, after any) {
			old, isOld := before.(*storagev1.Cluster)
			now, isNow := after.(*storagev1.Cluster)
			if !isOld || !isNow || old.UID != now.UID || old.Spec.Config != now.Spec.Config {
				u.poke()
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("listen to clusters: %w", err)
	}
	return u, nil
}

func (u *upstreams) poke() {
	select {
	case u.poked <- struct{}{}:
	default:
	}
}

// get returns nil where there is no cluster of that name.
func (u *upstreams) get(cluster string) *connected {
	if all := u.current.Load(); all != nil {
		return (*all)[cluster]
	}
	return nil
}

// ready says whether clusters have been read once.
func (u *upstreams) ready() bool { return u.current.Load() != nil }

// run keeps connections until ctx is done. changed is told of each change.
func (u *upstreams) run(ctx context.Context, changed func()) {
	if !cache.WaitForCacheSync(ctx.Done(), u.synced...) {
		return
	}
	ticker := time.NewTicker(upstreamsPeriod)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if u.refresh(ctx) {
			changed()
		}
		select {
		case <-ctx.Done():
		case <-u.poked:
		case <-ticker.C:
		}
	}
}

// refresh makes what is missing, closes what is not needed any more, and says whether anything was
// either. Connections whose configuration is the same stay as they are.
func (u *upstreams) refresh(ctx context.Context) bool {
	clusters, _ := u.clusters.Lister().List(labels.Everything()) // a cache has no error for this
	before := map[string]*connected{}
	if all := u.current.Load(); all != nil {
		before = *all
	}
	after := make(map[string]*connected, len(clusters))
	changed := len(clusters) != len(before) || !u.ready()
	for _, cluster := range clusters {
		old := before[cluster.Name]
		now := u.connect(ctx, cluster, old)
		after[cluster.Name] = now
		changed = changed || now != old
	}
	if !changed {
		return false
	}
	u.current.Store(&after)
	for name, old := range before {
		if old.upstream != nil && after[name] != old {
			old.upstream.Close()
		}
	}
	countClusters(after)
	return true
}

// connect returns old where nothing has changed.
func (u *upstreams) connect(ctx context.Context, cluster *storagev1.Cluster, old *connected) *connected {
	config, err := u.connections.Config(ctx, cluster)
	if err != nil {
		return u.unconnected(ctx, cluster.Name, err, old)
	}
	if old != nil && old.config != nil && (old.config == config || reflect.DeepEqual(old.config, config)) {
		return old
	}
	upstream, err := proxy.NewUpstream(config)
	if err != nil {
		return u.unconnected(ctx, cluster.Name, &connection.Error{Reason: connection.ReasonKubeconfigInvalid, Message: err.Error()}, old)
	}
	c := &connected{name: cluster.Name, config: config, upstream: upstream, forwarder: proxy.New(upstream, u.refuse)}
	c.forwarder.Self, c.forwarder.Host = Program, fmt.Sprintf("the API server of cluster %q", cluster.Name)
	c.forwarder.OnFailure = func(kind proxy.Failure) {
		Metrics.UpstreamFailed(kind)
		c.silence.failed(kind, time.Now())
	}
	c.forwarder.Inspect = c.inspect
	klog.V(2).InfoS("Connection to a cluster made", "cluster", cluster.Name)
	return c
}

// unconnected keeps a connection whose Secret cannot be read at the moment: that says nothing about it.
func (u *upstreams) unconnected(ctx context.Context, name string, err error, old *connected) *connected {
	reason := connection.ReasonSecretUnreadable
	var fault *connection.Error
	if errors.As(err, &fault) {
		reason = fault.Reason
	}
	if old != nil && (old.problem == reason || ctx.Err() != nil || old.forwarder != nil && reason == connection.ReasonSecretUnreadable) {
		return old
	}
	klog.V(2).InfoS("No connection to a cluster", "cluster", name, "reason", reason)
	return &connected{name: name, problem: reason}
}
