package manager

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestOneLeads hands the lease from one manager to the other: no two lead at once, and the second
// begins when the first's work has ended, without waiting for the lease to expire.
func TestOneLeads(t *testing.T) {
	config := NewOptions().LeaderElection
	config.ResourceNamespace = "loft"
	config.LeaseDuration, config.RenewDeadline, config.RetryPeriod = metav1.Duration{Duration: time.Minute}, metav1.Duration{Duration: 30 * time.Second},
		metav1.Duration{Duration: 10 * time.Millisecond}
	client := fake.NewClientset()
	var working atomic.Int32
	manager := func(name string, led chan<- string) *leader {
		return &leader{config: config, client: client, controllers: map[string]func(context.Context){"x": func(ctx context.Context) {
			if working.Add(1) > 1 {
				t.Error("two managers lead at once")
			}
			led <- name
			<-ctx.Done()
			// Work that is under way when the manager is told to end.
			for range 100 {
				if working.Load() > 1 {
					t.Error("another leads before the work has ended")
				}
				time.Sleep(time.Millisecond)
			}
			working.Add(-1)
		}}}
	}
	led := make(chan string, 10)
	var running sync.WaitGroup
	first, endFirst := context.WithCancel(t.Context())
	second, endSecond := context.WithCancel(t.Context())
	running.Go(func() { manager("first", led).run(first) })
	if name := <-led; name != "first" {
		t.Fatalf("%s leads", name)
	}
	running.Go(func() { manager("second", led).run(second) })
	endFirst()
	if name := <-led; name != "second" {
		t.Fatalf("%s leads", name)
	}
	endSecond()
	running.Wait()
}

// A manager that loses the lease ends its work, and campaigns again.
func TestALostLeaseIsFoughtFor(t *testing.T) {
	config := NewOptions().LeaderElection
	config.ResourceNamespace = "loft"
	config.LeaseDuration, config.RenewDeadline, config.RetryPeriod = metav1.Duration{Duration: 300 * time.Millisecond}, metav1.Duration{Duration: 200 * time.Millisecond},
		metav1.Duration{Duration: 20 * time.Millisecond}
	client := fake.NewClientset()
	var lost atomic.Bool
	client.PrependReactor("update", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		return lost.Load(), &coordinationv1.Lease{}, errors.New("no answer")
	})
	led, ended := make(chan struct{}, 10), make(chan struct{}, 10)
	l := &leader{config: config, client: client, controllers: map[string]func(context.Context){"x": func(ctx context.Context) {
		led <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { l.run(ctx) })
	<-led
	lost.Store(true)
	<-ended
	lost.Store(false)
	<-led
	cancel()
	running.Wait()
}

func TestWithoutElectionEveryManagerLeads(t *testing.T) {
	led := make(chan struct{})
	l := &leader{controllers: map[string]func(context.Context){"x": func(context.Context) { close(led) }}}
	l.run(t.Context())
	<-led
}
