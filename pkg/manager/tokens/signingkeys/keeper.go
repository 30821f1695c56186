package signingkeys

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// SecretName is the Secret of the keys, in the manager's namespace.
	SecretName = "loft-manager-signing-keys"
	// DataKey is the key in the Secret that holds all of them.
	DataKey = "keys.json"
	// AnnotationRotate on the Secret asks for a rotation by hand, each time that its value changes.
	AnnotationRotate = "loft.sh/rotate-signing-key"

	secretType = "loft.sh/signing-keys"
	// fieldManager is who writes.
	fieldManager = "loft-manager"
	// period is how often the leader looks whether something is due.
	period = 30 * time.Second
)

var errNoSecret = errors.New("there is no Secret " + SecretName + " yet")

// Config is what a Keeper needs.
type Config struct {
	Client    kubernetes.Interface
	Namespace string
	// Issuer is the iss of the tokens.
	Issuer string
	// Rotation is the time between two keys; 0: no schedule.
	Rotation time.Duration
	// MaxLifetime is how long tokens live at most.
	MaxLifetime time.Duration
	Clock       clock.WithTicker
	// Notify is called when the keys have changed; it must not block.
	Notify func()
}

// Keeper knows the keys. It is safe for concurrent use.
type Keeper struct {
	config   Config
	secrets  corev1client.SecretInterface
	factory  informers.SharedInformerFactory
	informer cache.SharedIndexInformer
	state    atomic.Pointer[state]
	wake     chan struct{}
}

// state is what is known of the Secret: a ring, and what keeps a newer one from being known.
type state struct {
	ring    *Ring
	problem error
}

// NewKeeper returns a Keeper that knows no keys before Run.
func NewKeeper(config Config) (*Keeper, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(config.Client, 0, informers.WithNamespace(config.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", SecretName).String()
		}))
	k := &Keeper{
		config: config, secrets: config.Client.CoreV1().Secrets(config.Namespace),
		factory: factory, informer: factory.Core().V1().Secrets().Informer(), wake: make(chan struct{}, 1),
	}
	k.state.Store(&state{problem: errNoSecret})
	_, err := k.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { k.observe(o) },
		UpdateFunc: func(_, o any) { k.observe(o) },
		DeleteFunc: func(any) { k.set(&state{problem: errNoSecret}) },
	})
	if err != nil {
		return nil, fmt.Errorf("watch Secret %q: %w", SecretName, err)
	}
	return k, nil
}

// Run watches the Secret until ctx is done.
func (k *Keeper) Run(ctx context.Context) {
	k.factory.StartWithContext(ctx)
	<-ctx.Done()
	k.factory.Shutdown()
}

// HasSynced says whether the Secret has been looked for once.
func (k *Keeper) HasSynced() bool { return k.informer.HasSynced() }

// Ring returns the keys; the error says why there are none.
func (k *Keeper) Ring() (*Ring, error) {
	s := k.state.Load()
	if s.ring == nil {
		return nil, fmt.Errorf("signing keys: %w", s.problem)
	}
	return s.ring, nil
}

// Problem says why the Secret as it is now is not what is in use; nil: it is.
func (k *Keeper) Problem() error { return k.state.Load().problem }

// observe takes over a Secret. One that cannot be read leaves the keys as they were: they are good
// still, and in the bundles.
func (k *Keeper) observe(object any) {
	secret, ok := object.(*corev1.Secret)
	if !ok || secret.Name != SecretName {
		return
	}
	ring, err := k.read(secret)
	if err != nil {
		keysUnreadable.Set(1)
		klog.ErrorS(err, "Signing keys cannot be read, those known before are kept", "known", k.state.Load().ring != nil)
		k.set(&state{ring: k.state.Load().ring, problem: err})
		return
	}
	keysTrusted.Set(float64(len(ring.keys)))
	keysUnreadable.Set(0)
	k.set(&state{ring: ring})
}

func (k *Keeper) set(s *state) {
	k.state.Store(s)
	select {
	case k.wake <- struct{}{}:
	default:
	}
	if k.config.Notify != nil {
		k.config.Notify()
	}
}

func (k *Keeper) read(secret *corev1.Secret) (*Ring, error) {
	data, ok := secret.Data[DataKey]
	if !ok {
		return nil, fmt.Errorf("signing keys in Secret %q: no key %q: put it back, or delete the Secret to have new keys and no token of the old ones accepted",
			secret.Name, DataKey)
	}
	ring, err := parse(k.config.Issuer, data)
	if err != nil {
		return nil, fmt.Errorf("signing keys in Secret %q, key %q: %w; put it right, or delete the Secret to have new keys and no token of the old ones accepted",
			secret.Name, DataKey, err)
	}
	return ring, nil
}

// Maintain creates, rotates and takes out keys until ctx is done. Only the leader should do so, though
// two lose nothing.
func (k *Keeper) Maintain(ctx context.Context) {
	ticker := k.config.Clock.NewTicker(period)
	defer ticker.Stop()
	for {
		if err := k.maintainOnce(ctx); err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Signing keys cannot be maintained, will try again")
		}
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-ticker.C():
		}
	}
}

// maintainOnce begins anew where another manager wrote in between.
func (k *Keeper) maintainOnce(ctx context.Context) error {
	lost := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	return retry.OnError(retry.DefaultBackoff, lost, func() error { return k.step(ctx) })
}

func (k *Keeper) step(ctx context.Context) error {
	secret, err := k.secrets.Get(ctx, SecretName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return k.create(ctx)
	case err != nil:
		return fmt.Errorf("get Secret %q: %w", SecretName, err)
	}
	ring, err := k.read(secret)
	if err != nil {
		return err
	}
	plan := schedule{period: k.config.Rotation, maxLifetime: k.config.MaxLifetime, request: secret.Annotations[AnnotationRotate]}
	next, err := plan.next(ring, k.config.Clock.Now())
	if err != nil {
		return fmt.Errorf("signing keys in Secret %q: %w", SecretName, err)
	}
	if next == ring {
		return nil
	}
	return k.update(ctx, secret, ring, next)
}

func (k *Keeper) create(ctx context.Context) error {
	ring, err := schedule{maxLifetime: k.config.MaxLifetime}.first(k.config.Issuer, k.config.Clock.Now())
	if err != nil {
		return err
	}
	data, err := ring.encode()
	if err != nil {
		return err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: SecretName, Namespace: k.config.Namespace},
		Type:       secretType, Data: map[string][]byte{DataKey: data},
	}
	if _, err := k.secrets.Create(ctx, secret, metav1.CreateOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("create Secret %q: %w", SecretName, err)
	}
	klog.FromContext(ctx).Info("Signing keys made", "secret", SecretName, "active", ring.keys[0].ID())
	return nil
}

// update writes against the version that was read: if somebody else wrote since, it fails.
func (k *Keeper) update(ctx context.Context, read *corev1.Secret, before, next *Ring) error {
	data, err := next.encode()
	if err != nil {
		return err
	}
	secret := read.DeepCopy()
	secret.Data[DataKey] = data
	if _, err := k.secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("update Secret %q: %w", SecretName, err)
	}
	newest := next.keys[len(next.keys)-1]
	klog.FromContext(ctx).Info("Signing keys changed", "keysBefore", len(before.keys), "keys", len(next.keys),
		"newest", newest.ID(), "signsFrom", newest.From)
	return nil
}
