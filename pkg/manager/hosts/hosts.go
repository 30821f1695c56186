// Package hosts reaches connected clusters and makes sure that each is the one that it was.
//
// A Host is what was found behind a Cluster's kubeconfig: who it is, which version it has, and clients
// for it. Everything that the manager does in a connected cluster begins with Reach.
//
// What surprises:
//   - A cluster is told from others by the UID of its namespace kube-system. Where another cluster
//     answers than the one that was recorded, there is no Host, so that nothing is done to a stranger.
//   - Two Clusters of one UID would undo each other's work. The older one gets the Host.
//   - There are dynamic clients alone: a clientset for each of a thousand clusters takes a
//     hundred megabytes.
package hosts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/connection"
	"loft.sh/agent/pkg/manager/netfault"
)

// Reasons of an Error, besides those of packages connection and netfault.
const (
	// ReasonAnotherCluster: another cluster answers than the one that was recorded.
	ReasonAnotherCluster = "AnotherCluster"
	// ReasonDuplicate: an older Cluster leads to the same cluster.
	ReasonDuplicate = "DuplicateCluster"
)

// Error says why there is no Host.
type Error struct {
	// Reason is one word in CamelCase.
	Reason string
	// Message says what to do; it holds nothing of the kubeconfig.
	Message string
}

func (e *Error) Error() string { return e.Message }

// Connector says how a cluster is reached; *connection.Connections is one.
type Connector interface {
	Config(ctx context.Context, cluster *storagev1.Cluster) (*rest.Config, error)
}

// Host is a connected cluster that was reached. It is never changed.
type Host struct {
	// UID is that of the namespace kube-system.
	UID string
	// Version is the API server's git version, such as "v1.37.2".
	Version string
	// Client reads and writes objects of the cluster.
	Client dynamic.Interface
	// Raw sends requests to any path of the cluster's API server.
	Raw rest.Interface

	config  *rest.Config
	http    *http.Client
	checked time.Time
}

// Hosts keeps a Host for each cluster. It may be used by several goroutines, for one cluster each.
type Hosts struct {
	connector Connector
	clock     clock.PassiveClock
	timeout   time.Duration
	claims    *claims

	lock  sync.Mutex
	known map[types.UID]*Host
}

// New reaches clusters by connector. timeout bounds each request to one. clusters lists the Clusters
// there are.
func New(connector Connector, clusters func() []*storagev1.Cluster, timeout time.Duration, clock clock.PassiveClock) *Hosts {
	return &Hosts{
		connector: connector, clock: clock, timeout: timeout, claims: newClaims(clusters), known: map[types.UID]*Host{},
	}
}

// Reach returns the cluster's Host if it was checked no longer than maxAge ago, and else checks who
// answers. The error is an *Error, or that of ctx.
func (h *Hosts) Reach(ctx context.Context, cluster *storagev1.Cluster, maxAge time.Duration) (*Host, error) {
	config, err := h.connector.Config(ctx, cluster)
	if err != nil {
		h.Forget(cluster)
		return nil, connectionError(err)
	}
	known := h.get(cluster.UID)
	if known != nil && known.config != config {
		h.Forget(cluster)
		known = nil
	}
	if known != nil && h.clock.Since(known.checked) < maxAge {
		return known, nil
	}
	host, err := h.open(known, config)
	if err != nil {
		return nil, err
	}
	if err := h.check(ctx, cluster, host); err != nil {
		host.http.CloseIdleConnections()
		h.drop(cluster.UID)
		return nil, err
	}
	h.lock.Lock()
	defer h.lock.Unlock()
	h.known[cluster.UID] = host
	return host, nil
}

// Forget closes the connections to a cluster and gives up its claim, for a cluster that is gone or has
// another kubeconfig.
func (h *Hosts) Forget(cluster *storagev1.Cluster) {
	if known := h.drop(cluster.UID); known != nil {
		known.http.CloseIdleConnections()
	}
	h.claims.release(cluster.UID)
}

func (h *Hosts) get(uid types.UID) *Host {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.known[uid]
}

func (h *Hosts) drop(uid types.UID) *Host {
	h.lock.Lock()
	defer h.lock.Unlock()
	known := h.known[uid]
	delete(h.known, uid)
	return known
}

// open makes clients, or takes those of a Host of the same configuration.
func (h *Hosts) open(known *Host, shared *rest.Config) (*Host, error) {
	if known != nil {
		again := *known
		return &again, nil
	}
	config := rest.CopyConfig(shared)
	config.Timeout = h.timeout
	config.GroupVersion, config.APIPath = &schema.GroupVersion{}, "/"
	config.NegotiatedSerializer = serializer.WithoutConversionCodecFactory{CodecFactory: scheme.Codecs}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, &Error{connection.ReasonKubeconfigInvalid, "the kubeconfig has credentials or certificates that cannot be used"}
	}
	host := &Host{config: shared, http: client}
	if host.Client, err = dynamic.NewForConfigAndClient(config, client); err != nil {
		return nil, &Error{connection.ReasonKubeconfigInvalid, "the kubeconfig's server cannot be used"}
	}
	if host.Raw, err = rest.UnversionedRESTClientForConfigAndClient(config, client); err != nil {
		return nil, &Error{connection.ReasonKubeconfigInvalid, "the kubeconfig's server cannot be used"}
	}
	return host, nil
}

var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// check finds out who answers, and whether it is the one that we mean.
func (h *Hosts) check(ctx context.Context, cluster *storagev1.Cluster, host *Host) error {
	namespace, err := host.Client.Resource(namespaces).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return unreached(ctx, err)
	}
	host.UID = string(namespace.GetUID())
	if host.UID == "" {
		return &Error{"UnexpectedAnswer", "what answers is no Kubernetes API server: its namespace kube-system has no UID"}
	}
	if recorded := cluster.Status.ClusterUID; recorded != "" && recorded != host.UID {
		return &Error{ReasonAnotherCluster, fmt.Sprintf("the kubeconfig leads to another cluster, whose kube-system has UID %s and not %s, "+
			"so nothing is done there; to connect that one make another Cluster of it", host.UID, recorded)}
	}
	answer, err := host.Raw.Get().AbsPath("/version").DoRaw(ctx)
	if err != nil {
		return unreached(ctx, err)
	}
	var info version.Info
	if err := json.Unmarshal(answer, &info); err != nil || info.GitVersion == "" {
		return &Error{"UnexpectedAnswer", "what answers is no Kubernetes API server: /version says no version"}
	}
	host.Version, host.checked = info.GitVersion, h.clock.Now()
	if other := h.claims.take(host.UID, cluster); other != "" {
		return &Error{ReasonDuplicate, fmt.Sprintf("the Cluster %q leads to the same cluster already; delete one of the two", other)}
	}
	return nil
}

func connectionError(err error) error {
	var known *connection.Error
	if errors.As(err, &known) {
		return &Error{known.Reason, known.Message}
	}
	return err
}

// unreached says why a request to the cluster failed.
func unreached(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return ctx.Err()
	}
	reason, message := netfault.Of(err)
	if apierrors.IsUnauthorized(err) {
		message = "the cluster's API server does not accept the kubeconfig's credential"
	}
	return &Error{reason, "the cluster's API server cannot be used: " + message}
}
