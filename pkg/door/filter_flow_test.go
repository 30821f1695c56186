package door

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNobodyTakesEveryPlace(t *testing.T) {
	p := newPlaces(4)
	steps := []struct {
		user  string
		leave bool
		want  bool
	}{
		{user: "alice", want: true},
		{user: "alice", want: true},
		{user: "alice", want: false},
		{user: "bob", want: true},
		{user: "carol", want: true},
		{user: "dave", want: false},
		{user: "alice", leave: true},
		{user: "dave", want: true},
		{user: "alice", want: false},
	}
	for i, step := range steps {
		if step.leave {
			p.leave(step.user)
		} else if got := p.take(step.user); got != step.want {
			t.Fatalf("step %d: %s got a place: %t, want %t", i, step.user, got, step.want)
		}
	}
	for _, user := range []string{"alice", "bob", "carol", "dave"} {
		p.leave(user)
	}
	if p.taken != 0 || len(p.byUser) != 0 {
		t.Errorf("%d places taken by %v after all have left", p.taken, p.byUser)
	}
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
	}), allow)
	go func() {
		for range d.audit.added {
		}
	}()
	var wait sync.WaitGroup
	// newDoor has ten places, half of which are one person's.
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
