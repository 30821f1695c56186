// Package connection turns the Secret that a Cluster names into a client configuration for that
// cluster.
//
// What surprises:
//   - A kubeconfig is data from somebody else, so what would make the manager run a program or read
//     its own files is refused: exec plugins, auth providers, paths. So is impersonation, since
//     whom to be is decided for each request.
//   - Errors never repeat what a parser says, which may quote the kubeconfig.
//   - The configuration stays the same pointer until the Secret changes. Whoever builds a transport
//     from it can tell by the pointer whether it is still good. It must not be changed: copy it.
package connection

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// DefaultKey is the key of the kubeconfig in its Secret where the Cluster names none.
const DefaultKey = "config"

// Reasons of an Error; they are reasons of the condition Connected, too.
const (
	// ReasonNoSecret: the Cluster names no Secret.
	ReasonNoSecret = "NoSecret"
	// ReasonSecretNotFound: there is no such Secret.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonSecretUnreadable: the Secret could not be read, for example for lack of rights.
	ReasonSecretUnreadable = "SecretUnreadable"
	// ReasonKeyNotFound: the Secret lacks the key, or it is empty.
	ReasonKeyNotFound = "KeyNotFound"
	// ReasonKubeconfigInvalid: what is under the key is no kubeconfig that leads to a cluster.
	ReasonKubeconfigInvalid = "KubeconfigInvalid"
	// ReasonKubeconfigRefused: the kubeconfig would run a program, read files or impersonate.
	ReasonKubeconfigRefused = "KubeconfigRefused"
)

// Error says why a cluster has no configuration.
type Error struct {
	// Reason is one of the reasons of this package, a word in CamelCase.
	Reason string
	// Message says what to do, without anything that the Secret holds.
	Message string
}

func (e *Error) Error() string { return e.Message }

// SecretGetter reads a Secret of the central cluster. The Secret is not changed.
type SecretGetter func(ctx context.Context, namespace, name string) (*corev1.Secret, error)

// Connections makes client configurations and keeps them while the Secrets stay as they are. It may
// be used by several goroutines.
type Connections struct {
	secret    SecretGetter
	namespace string

	lock sync.Mutex
	made map[SecretKey]made
}

// SecretKey is where a kubeconfig lies.
type SecretKey struct{ Namespace, Name, Key string }

func (k SecretKey) String() string {
	return fmt.Sprintf("key %q of Secret %s/%s", k.Key, k.Namespace, k.Name)
}

// made is what became of one state of a Secret.
type made struct {
	uid             types.UID
	resourceVersion string
	config          *rest.Config
	err             error
}

// New reads kubeconfigs with secret. namespace is the manager's own, which counts where a Cluster names
// none.
func New(secret SecretGetter, namespace string) *Connections {
	return &Connections{secret: secret, namespace: namespace, made: map[SecretKey]made{}}
}

// SecretKey returns where the kubeconfig of a cluster lies; the name is empty where it says nothing.
func (c *Connections) SecretKey(cluster *storagev1.Cluster) SecretKey {
	key := SecretKey{
		Namespace: cluster.Spec.Config.SecretNamespace, Name: cluster.Spec.Config.SecretName, Key: cluster.Spec.Config.Key,
	}
	if key.Namespace == "" {
		key.Namespace = c.namespace
	}
	if key.Key == "" {
		key.Key = DefaultKey
	}
	return key
}

// Config returns how the cluster is reached. It has no rate limit and no time-out: whoever uses it sets
// what suits. It is shared and must not be changed. The error is an *Error, or that of ctx.
func (c *Connections) Config(ctx context.Context, cluster *storagev1.Cluster) (*rest.Config, error) {
	key := c.SecretKey(cluster)
	if key.Name == "" {
		return nil, &Error{ReasonNoSecret, "spec.config.secretName names no Secret; store a kubeconfig in one and name it there"}
	}
	secret, err := c.secret(ctx, key.Namespace, key.Name)
	if err != nil {
		return nil, c.unread(ctx, key, err)
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	known, found := c.made[key]
	if !found || known.uid != secret.UID || known.resourceVersion != secret.ResourceVersion {
		known = made{uid: secret.UID, resourceVersion: secret.ResourceVersion}
		known.config, known.err = parse(key.String(), secret.Data[key.Key])
		c.made[key] = known
	}
	return known.config, known.err
}

// unread says why a Secret could not be read. What was made from it is kept, unless it is gone.
func (c *Connections) unread(ctx context.Context, key SecretKey, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !apierrors.IsNotFound(err) {
		// The API server's own words name the Secret and the right that is missing, never its content.
		return &Error{ReasonSecretUnreadable, fmt.Sprintf("read Secret %s/%s: %v", key.Namespace, key.Name, err)}
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	delete(c.made, key)
	return &Error{ReasonSecretNotFound, fmt.Sprintf("Secret %s/%s, which spec.config names, does not exist", key.Namespace, key.Name)}
}
