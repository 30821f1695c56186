package sleepmode

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

const template = `"selector":{"matchLabels":{"app":%[1]q}},"template":{"metadata":{"labels":{"app":%[1]q}},"spec":{"containers":[{"name":"c","image":"none"}]}}`

// furniture is what is in a namespace that sleeps, by resource: kind, name and spec.
var furniture = []struct {
	resource         schema.GroupVersionResource
	kind, name, spec string
}{
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, "Deployment", "web", fmt.Sprintf(`{"replicas":3,`+template+`}`, "web")},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, "Deployment", "off", fmt.Sprintf(`{"replicas":0,`+template+`}`, "off")},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}, "StatefulSet", "db", fmt.Sprintf(`{"replicas":2,"serviceName":"db",`+template+`}`, "db")},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}, "ReplicaSet", "bare", fmt.Sprintf(`{"replicas":4,`+template+`}`, "bare")},
	{
		schema.GroupVersionResource{Version: "v1", Resource: "replicationcontrollers"}, "ReplicationController", "old",
		`{"replicas":1,"selector":{"app":"old"},"template":{"metadata":{"labels":{"app":"old"}},"spec":{"containers":[{"name":"c","image":"none"}]}}}`,
	},
	{
		schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "cronjobs"}, "CronJob", "nightly",
		`{"schedule":"0 0 1 1 *","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"none"}]}}}}}`,
	},
	{
		schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}, "HorizontalPodAutoscaler", "plain",
		`{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"},"minReplicas":3,"maxReplicas":5}`,
	},
	{
		schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"}, "HorizontalPodAutoscaler", "shaped",
		`{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db"},"minReplicas":2,"maxReplicas":5,` +
			`"behavior":{"scaleUp":{"selectPolicy":"Min","policies":[{"type":"Pods","value":4,"periodSeconds":60}]}}}`,
	},
	{schema.GroupVersionResource{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"}, "PodDisruptionBudget", "web", `{"minAvailable":"100%","selector":{"matchLabels":{"app":"web"}}}`},
}

// space makes a furnished namespace.
func space(t *testing.T, name string, notes map[string]string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: prefixed(notes)}}
	if _, err := admin.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, f := range furniture {
		object := &unstructured.Unstructured{}
		data := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q},"spec":%s}`, f.resource.GroupVersion(), f.kind, f.name, f.spec)
		if err := json.Unmarshal([]byte(data), object); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		if _, err := objects.Resource(f.resource).Namespace(name).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatalf("%s %s: %v", f.kind, f.name, err)
		}
	}
}

func prefixed(notes map[string]string) map[string]string {
	all := map[string]string{}
	for key, value := range notes {
		all[annotations.Prefix+key] = value
	}
	return all
}

// annotate changes annotations of a namespace; an empty value removes one.
func annotate(t *testing.T, name string, notes map[string]string) {
	t.Helper()
	change := annotations.Change{}
	for key, value := range prefixed(notes) {
		if value == "" {
			change.Remove(key)
		} else {
			change.Set(key, value)
		}
	}
	if _, err := admin.CoreV1().Namespaces().Patch(t.Context(), name, types.MergePatchType, change.Patch(""), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func stateOf(t *testing.T, name string) annotations.Namespace {
	t.Helper()
	namespace, err := admin.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	state, err := annotations.ReadNamespace(namespace.Annotations)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func awaitPhase(t *testing.T, name string, phase annotations.Phase) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		return stateOf(t, name).Phase == phase, nil
	})
	if err != nil {
		t.Fatalf("%s: phase %q, want %q: %+v", name, stateOf(t, name).Phase, phase, stateOf(t, name))
	}
}

// specs are the specs and annotations of everything in a namespace, which is all that sleep may touch.
func specs(t *testing.T, name string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, f := range furniture {
		object, err := objects.Resource(f.resource).Namespace(name).Get(t.Context(), f.name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		notes := object.GetAnnotations()
		delete(notes, "deployment.kubernetes.io/revision")
		if len(notes) == 0 {
			notes = nil
		}
		all[f.kind+"/"+f.name] = map[string]any{"spec": object.Object["spec"], "annotations": notes}
	}
	return all
}

func replicas(t *testing.T, name string) string {
	t.Helper()
	text := ""
	for _, f := range furniture[:5] {
		object, err := objects.Resource(f.resource).Namespace(name).Get(t.Context(), f.name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		n, _, _ := unstructured.NestedInt64(object.Object, "spec", "replicas")
		text += strconv.FormatInt(n, 10) + " "
	}
	return text
}

func wakeByActivity(t *testing.T, name string) {
	t.Helper()
	annotate(t, name, map[string]string{
		"last-activity":      strconv.FormatInt(stateOf(t, name).Status.SleepingSince+1, 10),
		"last-activity-info": `{"subject":"alice","verb":"get","resource":"deployments","apiGroup":"apps"}`,
	})
}

// TestExactCounts sleeps and wakes twice in a row and compares everything.
func TestExactCounts(t *testing.T) {
	space(t, "exact", map[string]string{"sleep-after": "86400"})
	before := specs(t, "exact")
	startAgent(t, -1)
	for range 2 {
		annotate(t, "exact", map[string]string{"force": "true"})
		awaitPhase(t, "exact", annotations.Asleep)
		if got := replicas(t, "exact"); got != "0 0 0 0 0 " {
			t.Errorf("replicas asleep: %s", got)
		}
		if _, err := admin.CoreV1().ResourceQuotas("exact").Get(t.Context(), "loft-sleep-mode", metav1.GetOptions{}); err != nil {
			t.Errorf("new pods may come: %v", err)
		}
		wakeByActivity(t, "exact")
		awaitPhase(t, "exact", annotations.Awake)
		if diff := cmp.Diff(before, specs(t, "exact")); diff != "" {
			t.Fatalf("not all is as it was (-before +after):\n%s", diff)
		}
	}
	wantEvents(t, "exact", "FallingAsleep", "WakingUp", "Awake")
	awaitPods(t, "exact", 3+2+4+1)
}

func wantEvents(t *testing.T, name string, reasons ...string) {
	t.Helper()
	for _, reason := range reasons {
		err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
			list, err := admin.CoreV1().Events(name).List(ctx, metav1.ListOptions{FieldSelector: "reason=" + reason + ",involvedObject.kind=Namespace"})
			return err == nil && len(list.Items) > 0, nil
		})
		if err != nil {
			t.Errorf("no event %s", reason)
		}
	}
}

// awaitPods waits until the cluster's controllers have made so many pods. StatefulSets make the second
// when the first is ready, which no pod here becomes.
func awaitPods(t *testing.T, name string, most int) {
	t.Helper()
	var names []string
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		list, err := admin.CoreV1().Pods(name).List(ctx, metav1.ListOptions{})
		names = nil
		for _, pod := range list.Items {
			names = append(names, pod.Name)
		}
		return err == nil && len(names) == most-1, nil
	})
	if err != nil {
		t.Errorf("the controllers have made the pods %q: %v", names, err)
	}
}

// TestKilledInTheMiddle kills the agent after each of its writes, asleep and awake.
func TestKilledInTheMiddle(t *testing.T) {
	for _, writes := range []int{1, 3, 5, 6, 7, 9, 11, 13} {
		t.Run(strconv.Itoa(writes), func(t *testing.T) {
			name := "killed-" + strconv.Itoa(writes)
			space(t, name, map[string]string{"force": "true"})
			before := specs(t, name)
			startAgent(t, writes).awaitDeath(t)
			if phase := stateOf(t, name).Phase; phase != annotations.FallingAsleep {
				t.Errorf("phase %q after the death", phase)
			}
			second := startAgent(t, -1)
			awaitPhase(t, name, annotations.Asleep)
			second.stop()
			if got := replicas(t, name); got != "0 0 0 0 0 " {
				t.Errorf("replicas asleep: %s", got)
			}
			wakeByActivity(t, name)
			startAgent(t, writes).awaitDeath(t)
			startAgent(t, -1)
			awaitPhase(t, name, annotations.Awake)
			if diff := cmp.Diff(before, specs(t, name)); diff != "" {
				t.Errorf("not all is as it was (-before +after):\n%s", diff)
			}
			annotate(t, name, map[string]string{"sleep-type": ""})
		})
	}
}

// TestForcedDuration holds that activity doesn't wake what is forced, and a person does.
func TestForcedDuration(t *testing.T) {
	space(t, "forced", map[string]string{"force": "true", "force-duration": "0"})
	startAgent(t, -1)
	awaitPhase(t, "forced", annotations.Asleep)
	wakeByActivity(t, "forced")
	annotate(t, "forced", map[string]string{"delete-all-pods": "true"}) // another pass
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 2*time.Second, true, func(context.Context) (bool, error) {
		return stateOf(t, "forced").Phase != annotations.Asleep, nil
	})
	if err == nil {
		t.Error("activity woke it")
	}
	annotate(t, "forced", map[string]string{"force": "false"})
	awaitPhase(t, "forced", annotations.Awake)
}

// TestNamespaceDeletedMeanwhile holds that a namespace which goes ends without trouble.
func TestNamespaceDeletedMeanwhile(t *testing.T) {
	space(t, "gone", map[string]string{"force": "true"})
	startAgent(t, 4).awaitDeath(t)
	if err := admin.CoreV1().Namespaces().Delete(t.Context(), "gone", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	startAgent(t, -1)
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		_, err := admin.CoreV1().Namespaces().Get(ctx, "gone", metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil
	})
	if err != nil {
		t.Error("the namespace is still there")
	}
}
