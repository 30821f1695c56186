package sleepmodeconfigs

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
	"loft.sh/agent/pkg/agent/sleepmode/annotations"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func fixture(t *testing.T, notes map[string]string) (*REST, *fake.Clientset, context.Context) {
	all := map[string]string{"other": "stays"}
	for key, value := range notes {
		all[annotations.Prefix+key] = value
	}
	client := fake.NewClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a", UID: "u", Annotations: all, CreationTimestamp: metav1.NewTime(noon.AddDate(0, 0, -1))}})
	ctx := request.WithUser(request.WithNamespace(t.Context(), "team-a"), &user.DefaultInfo{Name: "loft:user:alice"})
	return NewREST(nil, client.CoreV1().Namespaces(), func() time.Time { return noon }), client, ctx
}

func one(ctx context.Context, t *testing.T, r *REST) *clusterv1.SleepModeConfig {
	t.Helper()
	list, err := r.List(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	items := list.(*clusterv1.SleepModeConfigList).Items
	if len(items) != 1 {
		t.Fatalf("%d configurations", len(items))
	}
	return &items[0]
}

// TestOldClient is what a 2.x client does: read the one, change it, post all of it back.
func TestOldClient(t *testing.T) {
	r, client, ctx := fixture(t, map[string]string{"sleep-after": "60", "last-activity": "1000", "ignore-all": "true"})
	config := one(ctx, t, r)
	if config.Name != "config" || config.UID != "u" || config.Status.SleptLastThirtyDays == nil || config.Status.SleptLastSevenDays == nil {
		t.Errorf("read %+v", config)
	}
	config.Spec.ForceSleep, config.Spec.ForceSleepDuration = true, ptr.To[int64](0)
	config.ResourceVersion = "1" // long outdated
	if _, err := r.Create(ctx, config, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"other": "stays", "sleepmode.loft.sh/ignore-all": "true", "sleepmode.loft.sh/sleep-after": "60",
		"sleepmode.loft.sh/last-activity": "1000", "sleepmode.loft.sh/force": "true", "sleepmode.loft.sh/force-duration": "0",
	}
	namespace, _ := client.CoreV1().Namespaces().Get(ctx, "team-a", metav1.GetOptions{})
	if diff := cmp.Diff(want, namespace.Annotations); diff != "" {
		t.Errorf("asleep (-want +got):\n%s", diff)
	}
	config = one(ctx, t, r)
	config.Spec.ForceSleep, config.Spec.ForceSleepDuration, config.Status.LastActivity = false, nil, noon.Unix()
	if _, err := r.Create(ctx, config, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	delete(want, "sleepmode.loft.sh/force")
	delete(want, "sleepmode.loft.sh/force-duration")
	want["sleepmode.loft.sh/last-activity"] = strconv.FormatInt(noon.Unix(), 10)
	want["sleepmode.loft.sh/last-activity-info"] = `{"subject":"alice","verb":"update","apiGroup":"cluster.loft.sh","resource":"sleepmodeconfigs","name":"config"}`
	namespace, _ = client.CoreV1().Namespaces().Get(ctx, "team-a", metav1.GetOptions{})
	if diff := cmp.Diff(want, namespace.Annotations); diff != "" {
		t.Errorf("awake (-want +got):\n%s", diff)
	}
}

// TestWakesInTheSecondOfFallingAsleep holds that a person who wakes it at once is heard.
func TestWakesInTheSecondOfFallingAsleep(t *testing.T) {
	r, _, ctx := fixture(t, map[string]string{"sleeping-since": strconv.FormatInt(noon.Unix(), 10), "phase": "Asleep"})
	config := one(ctx, t, r)
	config.Status.LastActivity = noon.Unix()
	got, err := r.Create(ctx, config, nil, &metav1.CreateOptions{})
	if err != nil || got.(*clusterv1.SleepModeConfig).Status.LastActivity != noon.Unix()+1 {
		t.Errorf("got %+v, error %v", got, err)
	}
}

// TestForgedStatus holds that nobody makes up how long something slept, or activity to come.
func TestForgedStatus(t *testing.T) {
	r, _, ctx := fixture(t, map[string]string{"last-activity": "1000"})
	config := one(ctx, t, r)
	config.Status.SleepingSince, config.Status.SleepType, config.Status.LastActivity = 5, "forcedSleep", noon.Unix()+1000
	config.Status.CurrentEpoch = &clusterv1.EpochInfo{Slept: 99}
	got, err := r.Create(ctx, config, nil, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if s := got.(*clusterv1.SleepModeConfig).Status; s.SleepingSince != 0 || s.SleepType != "" || s.CurrentEpoch != nil || s.LastActivity != noon.Unix() {
		t.Errorf("status %+v", s)
	}
}

func TestInvalid(t *testing.T) {
	r, client, ctx := fixture(t, nil)
	config := one(ctx, t, r)
	config.Spec = clusterv1.SleepModeConfigSpec{SleepAfter: -1, DeleteAfter: -1, ForceSleepDuration: ptr.To[int64](-1), SleepSchedule: "x", WakeupSchedule: "0 0 30 2 *"}
	_, err := r.Create(ctx, config, nil, &metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) {
		t.Fatalf("error %v", err)
	}
	for _, name := range []string{"spec.sleepAfter", "spec.deleteAfter", "spec.forceSleepDuration", "spec.sleepSchedule", "spec.wakeupSchedule", "never fires"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not name %s", err, name)
		}
	}
	config.Spec = clusterv1.SleepModeConfigSpec{Timezone: "Mars/Olympus"}
	if _, err := r.Create(ctx, config, nil, &metav1.CreateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.timezone") {
		t.Errorf("error %v", err)
	}
	config.Spec, config.UID = clusterv1.SleepModeConfigSpec{}, "another"
	if _, err := r.Create(ctx, config, nil, &metav1.CreateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("of another namespace: error %v", err)
	}
	config.UID, config.Name = "u", "second"
	if _, err := r.Create(ctx, config, nil, &metav1.CreateOptions{}); !apierrors.IsBadRequest(err) {
		t.Errorf("a second one: error %v", err)
	}
	for _, action := range client.Actions() {
		if action.GetVerb() == "patch" {
			t.Error("something was written")
		}
	}
	if _, err := r.Get(ctx, "other", nil); !apierrors.IsNotFound(err) {
		t.Errorf("another name: error %v", err)
	}
}

func TestUpdateIsHeldToItsVersion(t *testing.T) {
	r, _, ctx := fixture(t, nil)
	config := one(ctx, t, r)
	config.ResourceVersion = "outdated"
	_, _, err := r.Update(ctx, "config", rest.DefaultUpdatedObjectInfo(config), nil, nil, false, &metav1.UpdateOptions{})
	if !apierrors.IsConflict(err) {
		t.Errorf("error %v", err)
	}
}

func TestTable(t *testing.T) {
	r, _, ctx := fixture(t, map[string]string{
		"sleeping-since": strconv.FormatInt(noon.Add(-time.Hour).Unix(), 10), "sleep-type": "inactivitySleep", "phase": "Asleep",
		"last-activity": strconv.FormatInt(noon.Add(-2*time.Hour).Unix(), 10), "last-activity-info": `{"subject":"alice"}`,
		"scheduled-wakeup": strconv.FormatInt(noon.Add(19*time.Hour).Unix(), 10),
	})
	table, err := r.ConvertToTable(ctx, one(ctx, t, r), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"config", "60m (inactivitySleep)", "120m (alice)", "wakes in 19h", "4%"}, table.Rows[0].Cells); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
