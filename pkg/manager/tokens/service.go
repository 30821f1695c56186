package tokens

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/tokens/issued"
	"loft.sh/agent/pkg/manager/tokens/signingkeys"
)

// Config is what a Service needs.
type Config struct {
	Options
	// Client talks to the central cluster.
	Client kubernetes.Interface
	// Namespace is the manager's own, where keys and records are.
	Namespace string
	// Policy says who people are, and which clusters they may use. Its informers are the caller's to start.
	Policy *access.Policy
	// Clock is the real one where it is nil.
	Clock clock.WithTicker
}

// Service is everything about tokens in one manager.
type Service struct {
	Keys    *signingkeys.Keeper
	Issuer  *Issuer
	Bundles *Bundles

	directory *access.Directory
	watcher   *issued.Watcher
	leader    *leader
}

// New returns a Service that does nothing before Run.
func New(config Config) (*Service, error) {
	if config.Client == nil || config.Policy == nil || config.Namespace == "" {
		return nil, errors.New("tokens: a client, a namespace and a policy are required")
	}
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	s := &Service{directory: config.Policy.Directory}
	bundles, lead := newSignal(), newSignal()
	var err error
	s.Keys, err = signingkeys.NewKeeper(signingkeys.Config{
		Client: config.Client, Namespace: config.Namespace, Issuer: config.Issuer, Clock: config.Clock,
		Rotation: config.SigningKeyRotation, MaxLifetime: config.MaxLifetime, Notify: bundles.notify,
	})
	if err != nil {
		return nil, err
	}
	s.watcher, err = issued.NewWatcher(config.Client, config.Namespace, func() { bundles.notify(); lead.notify() })
	if err != nil {
		return nil, err
	}
	store := issued.NewStore(config.Client, config.Namespace, config.Clock)
	s.Issuer = &Issuer{policy: config.Policy, keys: s.Keys, store: store, clock: config.Clock, options: config.Options}
	s.Bundles = newBundles(config, s.Keys, s.watcher, bundles)
	s.leader = &leader{directory: s.directory, watcher: s.watcher, store: store, clock: config.Clock, due: lead}
	return s, nil
}

// Run watches keys, records and people until ctx is done. Every manager runs it.
func (s *Service) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.Keys.Run(ctx) })
	running.Go(func() { s.watcher.Run(ctx) })
	running.Go(func() { s.followDirectory(ctx) })
	if s.synced(ctx) {
		s.Bundles.run(ctx)
	}
}

// Lead keeps keys and revocations up to date in the central cluster until ctx is done. It needs Run, and
// is for the leader.
func (s *Service) Lead(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { s.Keys.Maintain(ctx) })
	if s.synced(ctx) {
		s.leader.run(ctx)
	}
}

func (s *Service) synced(ctx context.Context) bool {
	return s.directory.WaitForSync(ctx) && s.watcher.WaitForSync(ctx)
}

// followDirectory passes changes of people on.
func (s *Service) followDirectory(ctx context.Context) {
	for {
		changed := s.directory.Changed()
		s.Bundles.due.notify()
		s.leader.due.notify()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// signal says that something is to be done, once for any number of times that it is told.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) notify() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// await waits for a signal, and for what belongs together to come together. It returns false where ctx
// is done.
func (s signal) await(ctx context.Context, clock clock.Clock, settle time.Duration, orAfter <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-orAfter:
		return true
	case <-s:
	}
	select {
	case <-ctx.Done():
		return false
	case <-clock.After(settle):
		return true
	}
}
