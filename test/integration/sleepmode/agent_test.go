package sleepmode

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"loft.sh/agent/pkg/agent/sleepmode"
)

// agent is sleep mode of one replica.
type agent struct {
	mode *sleepmode.Mode
	stop func()
	died <-chan struct{}
}

// startAgent starts a replica that dies after so many writes to things in namespaces; negative: never.
func startAgent(t *testing.T, writes int) *agent {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	config := rest.CopyConfig(agentConfig)
	death := &mortal{die: cancel, dead: make(chan struct{})}
	death.left.Store(int64(writes))
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		death.next = next
		return death
	})
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	held := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(sleepmode.Strip))
	options := sleepmode.NewOptions()
	options.LeaderElect = false
	mode, err := options.New(config, client, held.Core().V1().Namespaces())
	if err != nil {
		t.Fatal(err)
	}
	held.StartWithContext(ctx)
	var running sync.WaitGroup
	running.Go(func() { mode.Run(ctx) })
	a := &agent{mode: mode, died: death.dead, stop: func() { cancel(); running.Wait(); held.Shutdown() }}
	t.Cleanup(a.stop)
	return a
}

// awaitDeath waits until the agent was killed, and has ended.
func (a *agent) awaitDeath(t *testing.T) {
	t.Helper()
	select {
	case <-a.died:
		a.stop()
	case <-time.After(30 * time.Second):
		t.Fatal("the agent did not get as far")
	}
}

// mortal kills its agent before a write.
type mortal struct {
	next http.RoundTripper
	left atomic.Int64
	die  context.CancelFunc
	once sync.Once
	dead chan struct{}
}

var errDead = errors.New("the agent is dead")

// RoundTrip passes on what is sent in time.
func (m *mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && m.left.Add(-1) == -1 {
		m.once.Do(func() { m.die(); close(m.dead) })
	}
	select {
	case <-m.dead:
		return nil, errDead
	default:
		return m.next.RoundTrip(r)
	}
}
