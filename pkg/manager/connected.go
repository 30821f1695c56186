package manager

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	storagescheme "loft.sh/agent/generated/clientset/versioned/scheme"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/clusters"
	"loft.sh/agent/pkg/manager/connection"
	"loft.sh/agent/pkg/manager/gateway"
	"loft.sh/agent/pkg/manager/tokens/signingkeys"
)

// component is what events say about where they come from.
const component = "loft-manager"

var errSecretsUnread = errors.New("the Secrets have not been read yet")

// applyClusters prepares what keeps connected clusters.
func (c *Config) applyClusters(_ context.Context, o *Options) error {
	c.secrets = informers.NewSharedInformerFactoryWithOptions(c.centralClient, 0, informers.WithNamespace(o.Namespace),
		informers.WithTransform(withoutManagedFields))
	secrets := c.secrets.Core().V1().Secrets()
	c.connections = connection.New(c.secretGetter(secrets.Informer().HasSynced, secrets.Lister()), o.Namespace)
	c.events = events.NewBroadcaster(&events.EventSinkImpl{Interface: c.centralClient.EventsV1()})
	config := clusters.Config{
		Storage: c.storageClient.StorageV1(), Informers: c.informers.Storage().V1(), Secrets: secrets.Informer(), Connections: c.connections,
		Bundles: c.tokens.Bundles, Signer: signer{c.tokens.Keys}, Events: c.events.NewRecorder(storagescheme.Scheme, component),
		Clock: clock.RealClock{},
	}
	if err := o.Clusters.ApplyTo(&config); err != nil {
		return err
	}
	controller, err := clusters.New(config)
	if err != nil {
		return err
	}
	c.leader.controllers["clusters"] = func(ctx context.Context) {
		if err := controller.Run(ctx); err != nil {
			klog.ErrorS(err, "Connected clusters are not kept")
		}
	}
	return nil
}

// withoutManagedFields spares the memory of what nobody reads.
func withoutManagedFields(object any) (any, error) {
	if o, ok := object.(metav1.Object); ok {
		o.SetManagedFields(nil)
	}
	return object, nil
}

// secretGetter reads Secrets of the manager's namespace from its informer, and asks for others.
func (c *Config) secretGetter(synced cache.InformerSynced, own corelisters.SecretLister) connection.SecretGetter {
	return func(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
		switch {
		case namespace != c.namespace:
			return c.centralClient.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
		case !synced():
			return nil, errSecretsUnread
		}
		return own.Secrets(namespace).Get(name)
	}
}

// signer signs with the key of the moment.
type signer struct{ keys *signingkeys.Keeper }

// Sign implements prober.Signer.
func (s signer) Sign(claims accesstoken.Claims) (string, error) {
	ring, err := s.keys.Ring()
	if err != nil {
		return "", err
	}
	return ring.Active(time.Now()).Signer.Sign(claims)
}

// applyGateway prepares the way to connected clusters.
func (c *Config) applyGateway(_ context.Context, o *Options) error {
	g := c.generic
	var err error
	c.gateway, err = gateway.New(&gateway.Config{
		Authenticator:       c.door.Authenticator,
		Policy:              c.policy,
		Clusters:            c.informers.Storage().V1().Clusters(),
		Secrets:             c.secrets.Core().V1().Secrets().Informer(),
		Connections:         c.connections,
		AuditSink:           g.AuditBackend,
		AuditPolicy:         g.AuditPolicyRuleEvaluator,
		Clients:             c.door.Clients,
		Serializer:          g.Serializer,
		Timeout:             g.RequestTimeout + centralGrace,
		MaxInFlight:         g.MaxRequestsInFlight,
		MaxMutatingInFlight: g.MaxMutatingRequestsInFlight,
		PingPeriod:          o.PingPeriod,
		InFlight:            g.NonLongRunningRequestWaitGroup,
		Draining:            c.shutdown.Streams(),
		DrainFor:            g.ShutdownWatchTerminationGracePeriod,
		TracerProvider:      g.TracerProvider,
	})
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	return nil
}

func (c *Config) startInformers(ctx context.Context) {
	c.informers.StartWithContext(ctx)
	c.secrets.StartWithContext(ctx)
}

// recordEvents writes events until ctx is done.
func (c *Config) recordEvents(ctx context.Context) {
	if err := c.events.StartRecordingToSinkWithContext(ctx); err != nil {
		klog.ErrorS(err, "Events are not recorded")
	}
	<-ctx.Done()
	c.events.Shutdown()
}
