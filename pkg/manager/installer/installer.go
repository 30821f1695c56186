// Package installer brings the agent into connected clusters, keeps it as it should be there, and takes
// it out again.
//
// In the order the code runs: render.go makes the objects for one Cluster of artifacts/agent, and fails
// before anything is written if they cannot be made; installer.go applies them in the manifests' order;
// serving.go keeps the certificate by which the aggregator knows the agent; remove.go goes the way back.
//
// What surprises:
//   - Everything is applied by server-side apply as field manager FieldManager, with force: drift is
//     repaired, and fields that nobody wants are left to whoever set them. Each step may be
//     repeated, so a manager that is killed in the middle leaves nothing to mend.
//   - An object that has not changed since we applied it, and should not, is read and not written.
//   - Objects that carry the annotation loft.sh/unmanaged: "true" in the cluster are left alone.
//   - The binding that lets people use the endpoint is not installed: who may is what ClusterAccess says.
//   - The namespace stays when the agent goes: it is not ours alone.
package installer

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/clock"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/artifacts"
)

const (
	// FieldManager is the name under which the manager applies what it installs.
	FieldManager = "loft-manager"
	// Namespace is the agent's in every cluster.
	Namespace = "loft"
	// APIService is the name of the agent's registration with the aggregator.
	APIService = "v1.cluster.loft.sh"
	// TrustConfigMap is where the agent reads its trust bundle, under TrustKey.
	TrustConfigMap = "loft-agent-trust"
	// TrustKey is the key of the bundle.
	TrustKey = "bundle.json"
	// EndpointUserRole permits to use the endpoint; a binding of the same name says who may.
	EndpointUserRole = "loft-agent-endpoint-user"
)

// Reasons of an Error.
const (
	// ReasonValuesInvalid: spec.agent does not give a Deployment.
	ReasonValuesInvalid = "ValuesInvalid"
	// ReasonApplyFailed: the cluster did not take an object.
	ReasonApplyFailed = "ApplyFailed"
)

// Error says what keeps the agent from being installed or removed.
type Error struct {
	Reason  string
	Message string
	err     error
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.err }

// Installer installs one version of the agent. It may be used by several goroutines, by one for each
// cluster.
type Installer struct {
	image   string
	clock   clock.PassiveClock
	objects []*unstructured.Unstructured

	lock    sync.Mutex
	applied map[types.UID]map[string]state // by Cluster and object
}

// state is what an object was like after we applied it.
type state struct {
	digest          [sha256.Size]byte
	resourceVersion string
}

// New reads the manifests. image is that of agents whose Cluster names none; empty: as the manifests say.
func New(image string, clock clock.PassiveClock) (*Installer, error) {
	objects, err := artifacts.AgentObjects()
	if err != nil {
		return nil, fmt.Errorf("agent's manifests: %w", err)
	}
	return &Installer{image: image, clock: clock, objects: objects, applied: map[types.UID]map[string]state{}}, nil
}

// Install brings the agent of cluster, reached by host, to what spec.agent asks for, and says whether
// that took a change. The error is an *Error.
func (i *Installer) Install(ctx context.Context, host dynamic.Interface, cluster *storagev1.Cluster) (changed bool, err error) {
	objects, err := i.render(cluster)
	if err != nil {
		return false, err
	}
	for _, object := range objects {
		switch object.GetKind() {
		case "Deployment":
			// The pods wait for it.
			made, err := i.ensureServing(ctx, host)
			if err != nil {
				return changed, err
			}
			changed = changed || made
		case "APIService":
			if err := i.trustServing(ctx, host, object); err != nil {
				return changed, err
			}
		}
		applied, err := i.apply(ctx, host, cluster.UID, object)
		if err != nil {
			return changed, err
		}
		changed = changed || applied
	}
	return changed, nil
}

// Forget drops what is remembered of a Cluster.
func (i *Installer) Forget(cluster types.UID) {
	i.lock.Lock()
	defer i.lock.Unlock()
	delete(i.applied, cluster)
}

// apply says whether the object was written.
func (i *Installer) apply(ctx context.Context, host dynamic.Interface, cluster types.UID, object *unstructured.Unstructured) (bool, error) {
	client := clientFor(host, object)
	live, err := client.Get(ctx, object.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return false, failed("read", object, err)
	}
	if err == nil && Unmanaged(live.GetAnnotations()) {
		return false, nil
	}
	wanted, err2 := digest(object)
	if err2 != nil {
		return false, failed("encode", object, err2)
	}
	if err == nil && i.recall(cluster, object) == (state{wanted, live.GetResourceVersion()}) {
		return false, nil
	}
	result, err := client.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: FieldManager, Force: true})
	if err != nil {
		return false, failed("apply", object, err)
	}
	i.remember(cluster, object, state{wanted, result.GetResourceVersion()})
	return live == nil || live.GetResourceVersion() != result.GetResourceVersion(), nil
}

func (i *Installer) recall(cluster types.UID, object *unstructured.Unstructured) state {
	i.lock.Lock()
	defer i.lock.Unlock()
	return i.applied[cluster][describe(object)]
}

func (i *Installer) remember(cluster types.UID, object *unstructured.Unstructured, s state) {
	i.lock.Lock()
	defer i.lock.Unlock()
	if i.applied[cluster] == nil {
		i.applied[cluster] = map[string]state{}
	}
	i.applied[cluster][describe(object)] = s
}

// Unmanaged says by an object's annotations whether an administrator keeps it as it is.
func Unmanaged(annotations map[string]string) bool {
	return annotations[storagev1.AnnotationUnmanaged] == "true"
}

// clientFor knows where objects of the manifests are without asking: their resources have regular names.
func clientFor(host dynamic.Interface, object *unstructured.Unstructured) dynamic.ResourceInterface {
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	if namespace := object.GetNamespace(); namespace != "" {
		return host.Resource(resource).Namespace(namespace)
	}
	return host.Resource(resource)
}

func digest(object *unstructured.Unstructured) ([sha256.Size]byte, error) {
	data, err := json.Marshal(object.Object)
	return sha256.Sum256(data), err
}

func describe(object *unstructured.Unstructured) string {
	if object.GetNamespace() == "" {
		return object.GetKind() + " " + object.GetName()
	}
	return object.GetKind() + " " + object.GetNamespace() + "/" + object.GetName()
}

// failed words what the cluster said; the connection's own faults are worded by whoever reached it.
func failed(verb string, object *unstructured.Unstructured, err error) error {
	return &Error{ReasonApplyFailed, fmt.Sprintf("%s %s: %s", verb, describe(object), reasonOf(err)), err}
}

// inReverse returns the manifests' objects, the last one first.
func (i *Installer) inReverse() []*unstructured.Unstructured {
	objects := slices.Clone(i.objects)
	slices.Reverse(objects)
	return objects
}
