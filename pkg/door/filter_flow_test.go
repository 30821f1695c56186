package door

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// step is a user who asks for a place, gives one back, or waits for one until the end of a step.
type step struct {
	user  string
	leave bool
	want  bool
}

func TestNobodyTakesEveryPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(20, time.Second)
		for i, step := range []step{
			{user: "alice", want: true},
			{user: "alice", want: true},
			{user: "alice"},
			{user: "bob", want: true},
			{user: "alice", leave: true},
			{user: "alice", want: true},
		} {
			if step.leave {
				p.leave(step.user)
			} else if got := p.take(t.Context(), step.user); got != step.want {
				t.Fatalf("step %d: %s got a place: %t, want %t", i, step.user, got, step.want)
			}
		}
		for i := range 17 {
			if user := fmt.Sprintf("user-%d", i); !p.take(t.Context(), user) {
				t.Fatalf("%s got no place", user)
			}
		}
		if p.take(t.Context(), "late") {
			t.Error("more places than there are")
		}
	})
}

// guests take places in a test's bubble.
type guests struct {
	places *places
	got    []string
	lock   sync.Mutex
	wait   sync.WaitGroup
}

func (g *guests) come(ctx context.Context, user string) {
	g.wait.Go(func() {
		if g.places.take(ctx, user) {
			g.lock.Lock()
			defer g.lock.Unlock()
			g.got = append(g.got, user)
		}
	})
	synctest.Wait()
}

// forget returns who got places since, and checks that nothing is kept of anybody.
func (g *guests) forget(t *testing.T) []string {
	t.Helper()
	g.wait.Wait()
	for _, user := range g.got {
		g.places.leave(user)
	}
	if g.places.taken != 0 || len(g.places.users) != 0 || g.places.waiting.Len() != 0 {
		t.Errorf("%d places taken, %d users, %d of them waiting, after all have left", g.places.taken, len(g.places.users), g.places.waiting.Len())
	}
	return g.got
}

func TestWhoeverWaitsGetsAPlaceInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &guests{places: newPlaces(3, time.Second)}
		for _, user := range []string{"alice", "bob", "carol", "dave", "dave", "erin"} {
			g.come(t.Context(), user)
		}
		for _, user := range []string{"alice", "bob"} {
			g.places.leave(user)
			synctest.Wait()
		}
		g.got = g.got[2:] // they have left
		time.Sleep(time.Second)
		if diff := cmp.Diff([]string{"carol", "dave", "erin"}, g.forget(t)); diff != "" {
			t.Errorf("who got a place (-want +got):\n%s", diff)
		}
	})
}

func TestWhoeverHasAShareStandsInNobodysWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &guests{places: newPlaces(2, time.Second)}
		for _, user := range []string{"alice", "alice", "alice", "bob", "carol"} {
			g.come(t.Context(), user)
		}
		g.places.leave("bob") // alice waits longer, and has her share
		synctest.Wait()
		g.got = slices.DeleteFunc(g.got, func(user string) bool { return user == "bob" })
		time.Sleep(time.Second)
		if diff := cmp.Diff([]string{"alice", "carol"}, g.forget(t)); diff != "" {
			t.Errorf("who got a place (-want +got):\n%s", diff)
		}
	})
}

func TestWhoeverLeavesTheQueueLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &guests{places: newPlaces(1, time.Minute)}
		g.come(t.Context(), "alice")
		ctx, cancel := context.WithCancel(t.Context())
		g.come(ctx, "bob")
		g.come(t.Context(), "carol")
		cancel()
		synctest.Wait()
		g.places.leave("alice")
		synctest.Wait()
		g.got = g.got[1:]
		if diff := cmp.Diff([]string{"carol"}, g.forget(t)); diff != "" {
			t.Errorf("who got a place (-want +got):\n%s", diff)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &guests{places: newPlaces(10, time.Second)}
		for range 1 + 10*queueFor {
			g.come(t.Context(), "alice")
		}
		began := time.Now()
		if g.places.take(t.Context(), "alice") || time.Since(began) > 0 {
			t.Error("one more was let in, or waited")
		}
		if !g.places.take(t.Context(), "bob") {
			t.Error("no place for another user")
		}
		g.places.leave("bob")
		g.forget(t)
	})
}

// full is a door all of whose places for its person are taken until end.
func full(t *testing.T) (d testDoor, end func()) {
	t.Helper()
	arrived, ended := make(chan struct{}, 10), make(chan struct{})
	d = newDoor(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/slow") {
			arrived <- struct{}{}
			<-ended
		}
	}), allow, func(c *Config) {
		c.MaxInFlight = 5 * oneOf
		c.patience = time.Millisecond
	})
	go func() {
		for range d.audit.added {
		}
	}()
	var wait sync.WaitGroup
	// Five places are one person's.
	for range 5 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+testPrefix+"/slow", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+d.token)
		wait.Go(func() {
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			_ = res.Body.Close()
		})
	}
	for range 5 {
		<-arrived
	}
	return d, func() { close(ended); wait.Wait() }
}

func TestTooManyRequestsAreRefusedForAMoment(t *testing.T) {
	d, end := full(t)
	defer end()
	res := d.get(t.Context(), t, testPrefix+"/api/v1/pods")
	var status metav1.Status
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusTooManyRequests || status.Reason != metav1.StatusReasonTooManyRequests || res.Header.Get("Retry-After") != "1" {
		t.Errorf("%d %+v, Retry-After %q", res.StatusCode, status, res.Header.Get("Retry-After"))
	}
	if res := d.get(t.Context(), t, testPrefix+"/api/v1/pods?watch=true"); res.StatusCode != http.StatusOK {
		t.Errorf("a watch, which takes no place: %d", res.StatusCode)
	}
}

func TestClientCannotMakeNewSeriesByBeingRefusedForTheMoment(t *testing.T) {
	d, end := full(t)
	defer end()
	header := http.Header{"Authorization": {"Bearer " + d.token}}
	ask := func(i int) {
		if code := d.try(t, http.MethodGet, fmt.Sprintf("%s/apis/invented%d/v1/invented%d", testPrefix, i, i), header); code != http.StatusTooManyRequests {
			t.Fatalf("code %d", code)
		}
	}
	ask(0)
	before := allSeries(t)
	for i := range 20 {
		ask(i + 1)
	}
	for name := range allSeries(t) {
		if _, known := before[name]; !known {
			t.Errorf("new series %s", name)
		}
	}
}
