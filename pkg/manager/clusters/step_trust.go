package clusters

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/clusterstatus"
	"loft.sh/agent/pkg/manager/hosts"
	"loft.sh/agent/pkg/manager/installer"
	"loft.sh/agent/pkg/manager/lanes"
	"loft.sh/agent/pkg/manager/netfault"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// syncTrust gives one cluster's agent the newest bundle.
func (c *Controller) syncTrust(ctx context.Context, name string) (lanes.Result, error) {
	cluster := c.cluster(name)
	if cluster == nil || cluster.DeletionTimestamp != nil {
		return lanes.Result{}, nil
	}
	wanted := c.status.Mine(cluster, clusterstatus.Trust)
	result, reason, err := c.pushTrust(ctx, cluster, wanted)
	if err != nil {
		clusterstatus.Set(wanted, storagev1.ConditionTrustBundleSynced, metav1.ConditionFalse, reason, err.Error())
	} else {
		clusterstatus.Set(wanted, storagev1.ConditionTrustBundleSynced, metav1.ConditionTrue, "Pushed", "the agent was given the newest keys and revocations")
	}
	return c.report(ctx, cluster, clusterstatus.Trust, wanted, result, err)
}

// pushTrust returns a reason with each error.
func (c *Controller) pushTrust(ctx context.Context, cluster *storagev1.Cluster, status *storagev1.ClusterStatus) (lanes.Result, string, error) {
	host, err := c.hosts.Reach(ctx, cluster, c.ResyncPeriod)
	if err != nil {
		return lanes.Result{Dead: true}, reasonNotConnected, fmt.Errorf("not connected: %w", err)
	}
	result := lanes.Result{Again: c.ResyncPeriod}
	known := cluster.DeepCopy()
	known.Status.ClusterUID = host.UID
	bundle, err := c.Bundles.Bundle(known)
	if err != nil {
		return result, "NoBundle", err
	}
	data, err := bundle.Encode()
	if err != nil {
		return result, "NoBundle", err
	}
	digest := digestOf(data)
	now := c.Clock.Now()
	if c.pushes.recent(cluster.UID, digest, now) {
		status.TrustBundle = digest
		return result, "", nil
	}
	if err := applyTrust(ctx, host, data); err != nil {
		_, message := netfault.Of(err)
		if apierrors.IsNotFound(err) {
			return result, "NamespaceNotFound", fmt.Errorf("the namespace %s is not there, so there is no agent yet", installer.Namespace)
		}
		return result, "PushFailed", fmt.Errorf("apply ConfigMap %s/%s: %s", installer.Namespace, installer.TrustConfigMap, message)
	}
	c.pushes.done(cluster.UID, digest, now)
	status.TrustBundle = digest
	return result, "", nil
}

func applyTrust(ctx context.Context, host *hosts.Host, bundle []byte) error {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{
			"name": installer.TrustConfigMap, "namespace": installer.Namespace,
			"labels": map[string]any{"app.kubernetes.io/name": "loft-agent", "app.kubernetes.io/managed-by": installer.FieldManager},
		},
		"data": map[string]any{installer.TrustKey: string(bundle)},
	}}
	_, err := host.Client.Resource(configMaps).Namespace(installer.Namespace).Apply(ctx, installer.TrustConfigMap, object,
		metav1.ApplyOptions{FieldManager: installer.FieldManager, Force: true})
	return err
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// recently is how long a push counts: several reasons for one often come together.
const recently = 10 * time.Second

// pushes remembers what each cluster was given last.
type pushes struct {
	lock sync.Mutex
	made map[types.UID]push
}

type push struct {
	digest string
	at     time.Time
}

func newPushes() *pushes { return &pushes{made: map[types.UID]push{}} }

// recent says whether a cluster was given the bundle a moment ago.
func (p *pushes) recent(cluster types.UID, digest string, now time.Time) bool {
	p.lock.Lock()
	defer p.lock.Unlock()
	made, found := p.made[cluster]
	return found && made.digest == digest && now.Sub(made.at) < recently
}

func (p *pushes) done(cluster types.UID, digest string, now time.Time) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.made[cluster] = push{digest, now}
}

func (p *pushes) forget(cluster types.UID) {
	p.lock.Lock()
	defer p.lock.Unlock()
	delete(p.made, cluster)
}
