package workload

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

// furnish fills a namespace with what sleep touches, and what it doesn't.
func furnish(c *fakeCluster) {
	c.add(deployments, "web", `{"replicas":3}`)
	c.add(deployments, "off", `{"replicas":0}`)
	c.add(deployments, "kept", `{"replicas":2}`)
	c.add(replicaSets, "web-1", `{"replicas":3}`, ownedBy(deployments, "web"))
	c.add(replicaSets, "bare", `{"replicas":4}`)
	c.add(controllers, "old", `{"replicas":1}`)
	c.add(statefulSets, "db", `{"replicas":2}`)
	c.add(cronJobs, "nightly", `{"schedule":"0 0 * * *"}`)
	c.add(cronJobs, "stopped", `{"suspend":true}`)
	c.add(autoscalers, "plain", `{"maxReplicas":5}`)
	c.add(autoscalers, "shaped", `{"maxReplicas":5,"behavior":{"scaleUp":{"selectPolicy":"Min","policies":[{"value":4}]},"scaleDown":{"selectPolicy":"Max"}}}`)
	c.add(scaled, "queue", `{}`)
	c.add(scaled, "paused", `{}`, annotated(kedaPaused, "false"))
	c.add(pods, "web-x", `{}`, ownedBy(replicaSets, "web-1"))
	c.add(pods, "bare", `{}`)
}

// snapshot is everything that the cluster holds of a namespace, without versions.
func snapshot(c *fakeCluster) map[string]map[string]any {
	all := map[string]map[string]any{}
	for resource, kind := range kinds {
		list, err := c.client.Tracker().List(resource, resource.GroupVersion().WithKind(kind[:len(kind)-4]), "team-a")
		if err != nil {
			c.t.Fatal(err)
		}
		for _, item := range list.(*unstructured.UnstructuredList).Items {
			item.SetResourceVersion("")
			if len(item.GetAnnotations()) == 0 {
				item.SetAnnotations(nil)
			}
			all[resource.Resource+"/"+item.GetName()] = item.DeepCopy().Object
		}
	}
	return all
}

func mustSucceed(t *testing.T, r Result) Result {
	t.Helper()
	for _, f := range r.Failures {
		t.Fatalf("%s: %v", f.Object, f.Err)
	}
	return r
}

func TestSleepAndWake(t *testing.T) {
	c := newFakeCluster(t)
	furnish(c)
	before := snapshot(c)
	w := New(c.client)
	for range 2 {
		if got := mustSucceed(t, w.Sleep(t.Context(), "team-a", false)).Replicas; got != 3+2+4+1+2 {
			t.Errorf("took %d replicas", got)
		}
		for resource, name := range map[schema.GroupVersionResource]string{deployments: "web", replicaSets: "bare", controllers: "old", statefulSets: "db"} {
			if got := c.replicas(resource, name); got != 0 {
				t.Errorf("%s %s has %d replicas", resource.Resource, name, got)
			}
		}
		if got := c.replicas(replicaSets, "web-1"); got != 3 {
			t.Errorf("the replica set of a deployment was scaled to %d", got)
		}
		if suspended, _, _ := unstructured.NestedBool(c.get(cronJobs, "nightly").Object, "spec", "suspend"); !suspended {
			t.Error("the CronJob goes on")
		}
		for _, name := range []string{"plain", "shaped"} {
			if policy, _, _ := unstructured.NestedString(c.get(autoscalers, name).Object, "spec", "behavior", "scaleUp", "selectPolicy"); policy != "Disabled" {
				t.Errorf("autoscaler %s may scale up", name)
			}
		}
		if got := c.get(scaled, "queue").GetAnnotations()[kedaPaused]; got != "true" {
			t.Error("KEDA goes on")
		}
		if !c.exists(quotas, QuotaName) || !c.exists(pods, "bare") {
			t.Error("new pods may come, or old ones went")
		}
		asleep := snapshot(c)
		mustSucceed(t, w.Sleep(t.Context(), "team-a", false))
		if diff := cmp.Diff(asleep, snapshot(c)); diff != "" {
			t.Errorf("a second pass changed something (-before +after):\n%s", diff)
		}
		if got := mustSucceed(t, w.Wake(t.Context(), "team-a")).Replicas; got != 12 {
			t.Errorf("gave %d replicas back", got)
		}
		after := snapshot(c)
		// A CronJob that doesn't say is one that isn't suspended.
		unstructured.RemoveNestedField(after["cronjobs/nightly"], "spec", "suspend")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("not all is as it was (-before +after):\n%s", diff)
		}
	}
}

func TestExcluded(t *testing.T) {
	c := newFakeCluster(t)
	furnish(c)
	c.add(deployments, "kept", `{"replicas":2}`, annotated(annotations.ExcludeKey, "true"))
	c.add(replicaSets, "kept-1", `{"replicas":2}`, ownedBy(deployments, "kept"))
	c.add(pods, "kept-1-x", `{}`, ownedBy(replicaSets, "kept-1"))
	c.add(pods, "debug", `{}`, annotated(annotations.ExcludeKey, "true"))
	c.add(pods, "mirror", `{}`, annotated("kubernetes.io/config.mirror", "x"))
	mustSucceed(t, New(c.client).Sleep(t.Context(), "team-a", true))
	if c.replicas(deployments, "kept") != 2 || c.replicas(deployments, "web") != 0 {
		t.Error("the wrong deployment sleeps")
	}
	for name, want := range map[string]bool{"kept-1-x": true, "debug": true, "mirror": true, "web-x": false, "bare": false} {
		if c.exists(pods, name) != want {
			t.Errorf("pod %s exists: %t", name, !want)
		}
	}
	if c.exists(quotas, QuotaName) {
		t.Error("what is excluded cannot replace its pods")
	}
}

// TestDeploymentCopiesItsAnnotations holds that old replica sets of a deployment, which bear its
// annotations, are not scaled up.
func TestDeploymentCopiesItsAnnotations(t *testing.T) {
	c := newFakeCluster(t)
	c.add(replicaSets, "web-0", `{"replicas":0}`, ownedBy(deployments, "web"), annotated(annotations.ReplicasKey, "3"))
	mustSucceed(t, New(c.client).Wake(t.Context(), "team-a"))
	if got := c.replicas(replicaSets, "web-0"); got != 0 {
		t.Errorf("an old replica set has %d replicas", got)
	}
}

func TestChangedMeanwhile(t *testing.T) {
	c := newFakeCluster(t)
	furnish(c)
	w := New(c.client)
	mustSucceed(t, w.Sleep(t.Context(), "team-a", false))
	scaleUp := c.get(deployments, "web")
	_ = unstructured.SetNestedField(scaleUp.Object, int64(7), "spec", "replicas")
	c.put(deployments, scaleUp)
	c.add(statefulSets, "db", `{"replicas":9}`) // deleted, and made anew
	reshaped := c.get(autoscalers, "shaped")
	_ = unstructured.SetNestedField(reshaped.Object, "Max", "spec", "behavior", "scaleUp", "selectPolicy")
	c.put(autoscalers, reshaped)
	if err := c.client.Tracker().Delete(replicaSets, "team-a", "bare"); err != nil {
		t.Fatal(err)
	}
	// A pass that comes again takes nothing that somebody gave.
	mustSucceed(t, w.Sleep(t.Context(), "team-a", false))
	mustSucceed(t, w.Wake(t.Context(), "team-a"))
	if web, db := c.replicas(deployments, "web"), c.replicas(statefulSets, "db"); web != 7 || db != 9 {
		t.Errorf("web has %d replicas, db %d", web, db)
	}
	if policy, _, _ := unstructured.NestedString(c.get(autoscalers, "shaped").Object, "spec", "behavior", "scaleUp", "selectPolicy"); policy != "Max" {
		t.Errorf("policy %s", policy)
	}
	if len(c.get(deployments, "web").GetAnnotations()) != 0 {
		t.Error("something is still remembered")
	}
}

// TestScaledWhileFallingAsleep holds that the count is remembered that was there last.
func TestScaledWhileFallingAsleep(t *testing.T) {
	c := newFakeCluster(t)
	c.add(deployments, "web", `{"replicas":3}`)
	scaled, patches := int64(3), 0
	c.before = func(string) {
		// Somebody scales before the agent writes the count down, and again before it scales.
		if patches++; patches == 1 || patches == 3 {
			scaled++
			o := c.get(deployments, "web")
			_ = unstructured.SetNestedField(o.Object, scaled, "spec", "replicas")
			c.put(deployments, o)
		}
	}
	w := New(c.client)
	mustSucceed(t, w.Sleep(t.Context(), "team-a", false))
	c.before = nil
	mustSucceed(t, w.Wake(t.Context(), "team-a"))
	if got := c.replicas(deployments, "web"); got != scaled || scaled != 5 {
		t.Errorf("%d replicas, want %d", got, scaled)
	}
}

func TestFailureNamesTheObject(t *testing.T) {
	c := newFakeCluster(t)
	furnish(c)
	c.refuse["deployments/web"] = errors.New("denied by a webhook")
	result := New(c.client).Sleep(t.Context(), "team-a", false)
	if len(result.Failures) != 1 || result.Failures[0].Object != "deployments/web" {
		t.Errorf("failures %v", result.Failures)
	}
	if c.replicas(deployments, "web") != 3 || c.replicas(statefulSets, "db") != 0 || result.Replicas != 9 {
		t.Errorf("the others did not go on, or what failed counts: %+v", result)
	}
}

// TestAnyOrder sleeps, wakes, crashes and edits in any order and holds that in the end everything has
// the count that a person gave it last.
func TestAnyOrder(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			c := newFakeCluster(t)
			furnish(c)
			want := map[string]int64{"web": 3, "kept": 2, "off": 0}
			w := New(c.client)
			for range 12 {
				edit(c, random, want, 0)
				finish(t, c, random, func() Result { return w.Sleep(t.Context(), "team-a", false) })
				edit(c, random, want, 1)
				finish(t, c, random, func() Result { return w.Wake(t.Context(), "team-a") })
			}
			for name, replicas := range want {
				if got := c.replicas(deployments, name); got != replicas {
					t.Errorf("%s has %d replicas, want %d", name, got, replicas)
				}
			}
		})
	}
}

// edit may scale a deployment, to at least so many.
func edit(c *fakeCluster, random *rand.Rand, want map[string]int64, least int64) {
	if random.IntN(2) == 0 {
		return
	}
	name := []string{"web", "kept", "off"}[random.IntN(3)]
	want[name] = least + random.Int64N(10)
	o := c.get(deployments, name)
	_ = unstructured.SetNestedField(o.Object, want[name], "spec", "replicas")
	c.put(deployments, o)
}

// finish begins again after each crash, until do gets through.
func finish(t *testing.T, c *fakeCluster, random *rand.Rand, do func() Result) {
	for range 20 {
		c.crashIn = random.IntN(40)
		r := do()
		crashed := c.crashIn == 0
		c.crashIn = -1
		if !r.Failed() && !crashed {
			return
		}
		for _, f := range r.Failures {
			if !errors.Is(f.Err, errCrash) {
				t.Fatalf("%s: %v", f.Object, f.Err)
			}
		}
	}
	mustSucceed(t, do())
}
