package wake

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"loft.sh/agent/pkg/agent/sleepmode/activity"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

// fixture is a namespace that fell asleep a minute ago, and a gate.
type fixture struct {
	t      *testing.T
	client *fake.Clientset
	book   *activity.Book
	gate   *Gate
}

func newFixture(t *testing.T, notes map[string]string) *fixture {
	f := &fixture{t: t, client: fake.NewClientset(), book: activity.NewBook(clock.RealClock{})}
	f.gate = NewGate(f.book, f.client, time.Minute, clock.RealClock{})
	all := map[string]string{"sleeping-since": strconv.FormatInt(time.Now().Add(-time.Minute).Unix(), 10), "phase": "Asleep", "sleep-type": "forcedSleep"}
	for key, value := range notes {
		all[key] = value
	}
	f.observe(all)
	return f
}

func (f *fixture) observe(notes map[string]string) {
	prefixed := map[string]string{}
	for key, value := range notes {
		prefixed[annotations.Prefix+key] = value
	}
	f.book.Observe(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a", Annotations: prefixed}})
}

// wake is what the controller does, some time from now.
func (f *fixture) wakeIn(d time.Duration, then func()) {
	go func() {
		time.Sleep(d)
		f.observe(map[string]string{"sleep-after": "60"})
		then()
	}()
}

func ask(verb, resource, subresource, name string) activity.Request {
	return activity.Request{
		Info: &request.RequestInfo{IsResourceRequest: true, Verb: verb, Namespace: "team-a", Resource: resource, Subresource: subresource, Name: name},
		User: &user.DefaultInfo{Name: "loft:user:alice"}, Header: http.Header{},
	}
}

func pod(name string, isReady corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "team-a"},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: isReady}}},
	}
}

func (f *fixture) make(p *corev1.Pod) {
	if _, err := f.client.CoreV1().Pods("team-a").Create(context.Background(), p, metav1.CreateOptions{}); err != nil {
		f.t.Error(err)
	}
}

// TestAdmitAtOnce are the requests that don't wait.
func TestAdmitAtOnce(t *testing.T) {
	tests := []struct {
		name      string
		q         activity.Request
		wantWarns string
	}{
		{"list", ask("list", "pods", "", ""), "was asleep and wakes up now"},
		{"watch", ask("watch", "pods", "", ""), ""},
		{"service account", func() activity.Request {
			q := ask("create", "pods", "exec", "web-0")
			q.User = &user.DefaultInfo{Name: "system:serviceaccount:a:b"}
			return q
		}(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, answer := newFixture(t, nil), http.Header{}
			if err := f.gate.admit(t.Context(), answer, tt.q); err != nil {
				t.Fatal(err)
			}
			got := answer.Get("Warning")
			if tt.wantWarns == "" && got != "" || !strings.Contains(got, tt.wantWarns) {
				t.Errorf("warning %q", got)
			}
		})
	}
	f, answer := newFixture(t, map[string]string{"sleeping-since": "0", "phase": ""}), http.Header{}
	if err := f.gate.admit(t.Context(), answer, ask("create", "pods", "exec", "web-0")); err != nil || len(answer) > 0 {
		t.Errorf("awake: error %v, headers %v", err, answer)
	}
}

func TestHeld(t *testing.T) {
	for duration, want := range map[string]string{"3600": "sleeps until 20", "0": "sleeps until somebody wakes it"} {
		f := newFixture(t, map[string]string{"force": "true", "force-duration": duration, "sleep-type": "forcedDurationSleep"})
		err := f.gate.admit(t.Context(), http.Header{}, ask("create", "pods", "exec", "web-0"))
		if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "loft wakeup team-a") {
			t.Errorf("exec for %s: %v", duration, err)
		}
		answer := http.Header{}
		if err := f.gate.admit(t.Context(), answer, ask("list", "deployments", "", "")); err != nil || !strings.Contains(answer.Get("Warning"), want) {
			t.Errorf("list for %s: error %v, headers %v", duration, err, answer)
		}
	}
}

func TestWaitsForAReadyPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, began := newFixture(t, nil), time.Now()
		f.wakeIn(2*time.Second, func() {
			f.make(pod("web-0", corev1.ConditionFalse))
			time.Sleep(10 * time.Second)
			if _, err := f.client.CoreV1().Pods("team-a").Update(context.Background(), pod("web-0", corev1.ConditionTrue), metav1.UpdateOptions{}); err != nil {
				t.Error(err)
			}
		})
		if err := f.gate.admit(t.Context(), http.Header{}, ask("create", "pods", "exec", "web-0")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 12*time.Second || took > 13*time.Second {
			t.Errorf("waited %s", took)
		}
		synctest.Wait()
	})
}

func TestWaitsForAnEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, began := newFixture(t, nil), time.Now()
		f.wakeIn(time.Second, func() {
			time.Sleep(10 * time.Second) // the slice is made late, but within what a service takes
			slice := &discoveryv1.EndpointSlice{
				ObjectMeta: metav1.ObjectMeta{Name: "web-1", Namespace: "team-a", Labels: map[string]string{"kubernetes.io/service-name": "web"}},
				Endpoints:  []discoveryv1.Endpoint{{Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}},
			}
			if _, err := f.client.DiscoveryV1().EndpointSlices("team-a").Create(context.Background(), slice, metav1.CreateOptions{}); err != nil {
				t.Error(err)
			}
		})
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Name: "web-0", Namespace: "team-a", Labels: map[string]string{"kubernetes.io/service-name": "web"}},
			Endpoints:  []discoveryv1.Endpoint{{Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}}},
		}
		if _, err := f.client.DiscoveryV1().EndpointSlices("team-a").Create(t.Context(), slice, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := f.gate.admit(t.Context(), http.Header{}, ask("get", "services", "proxy", "http:web:80")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 11*time.Second || took > 12*time.Second {
			t.Errorf("waited %s", took)
		}
		synctest.Wait()
	})
}

func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, began := newFixture(t, nil), time.Now()
		f.make(pod("web-0", corev1.ConditionFalse))
		err := f.gate.admit(t.Context(), http.Header{}, ask("create", "pods", "exec", "web-0"))
		delay, retries := apierrors.SuggestsClientDelay(err)
		if !apierrors.IsServiceUnavailable(err) || !retries || delay != retryAfterSeconds {
			t.Errorf("error %v, again after %d s", err, delay)
		}
		if took := time.Since(began); took < time.Minute || took > 61*time.Second {
			t.Errorf("waited %s", took)
		}
	})
}

// TestMissingPod holds that a name that never comes back is the API server's to refuse.
func TestMissingPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, began := newFixture(t, nil), time.Now()
		f.wakeIn(time.Second, func() {})
		if err := f.gate.admit(t.Context(), http.Header{}, ask("get", "pods", "log", "web-abc")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 6*time.Second || took > 7*time.Second {
			t.Errorf("waited %s", took)
		}
		synctest.Wait()
	})
}

func TestPodReady(t *testing.T) {
	finished := pod("a", corev1.ConditionFalse)
	finished.Status.Phase = corev1.PodSucceeded
	leaving := pod("a", corev1.ConditionTrue)
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	tests := []struct {
		name, subresource string
		pod               *corev1.Pod
		want              readiness
	}{
		{"ready", "exec", pod("a", corev1.ConditionTrue), ready},
		{"running", "exec", pod("a", corev1.ConditionFalse), unready},
		{"running, for its log", "log", pod("a", corev1.ConditionFalse), ready},
		{"finished", "exec", finished, ready},
		{"leaving", "exec", leaving, unready},
	}
	for _, tt := range tests {
		if got := podReady(tt.pod, tt.subresource); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}
