package install

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/utils/ptr"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

// TestBodiesOfOldClients holds that what a 2.x client sends is decoded, through the internal version
// that a generic API server decodes into.
func TestBodiesOfOldClients(t *testing.T) {
	codecs := serializer.NewCodecFactory(newScheme(t))
	internal := schema.GroupVersion{Group: clusterv1.GroupName, Version: runtime.APIVersionInternal}
	decoder := codecs.DecoderToVersion(codecs.UniversalDeserializer(), internal)
	tests := []struct {
		name, body string
		want       runtime.Object
	}{
		{
			"create a space",
			`{"kind":"Space","apiVersion":"cluster.loft.sh/v1","metadata":{"name":"my-space","creationTimestamp":null,` +
				`"annotations":{"sleepmode.loft.sh/sleep-after":"28800","sleepmode.loft.sh/timezone":"Europe/Berlin#3600"}},` +
				`"spec":{"user":"alice"},"status":{}}`,
			&clusterv1.Space{
				ObjectMeta: metav1.ObjectMeta{Name: "my-space", Annotations: map[string]string{
					"sleepmode.loft.sh/sleep-after": "28800", "sleepmode.loft.sh/timezone": "Europe/Berlin#3600",
				}},
				Spec: clusterv1.SpaceSpec{User: "alice"},
			},
		},
		{
			"sleep",
			`{"kind":"SleepModeConfig","apiVersion":"cluster.loft.sh/v1","metadata":{"name":"config","namespace":"my-space",` +
				`"uid":"u","resourceVersion":"7","creationTimestamp":null},"spec":{"forceSleep":true,"forceSleepDuration":0,` +
				`"sleepAfter":60},"status":{"lastActivity":1700000000,"lastActivityInfo":{"subject":"alice","verb":"get",` +
				`"resource":"pods"},"currentEpoch":{"start":1,"slept":2},"sleptLastSevenDays":12.5,"scheduledSleep":9}}`,
			&clusterv1.SleepModeConfig{
				ObjectMeta: metav1.ObjectMeta{Name: "config", Namespace: "my-space", UID: "u", ResourceVersion: "7"},
				Spec:       clusterv1.SleepModeConfigSpec{ForceSleep: true, ForceSleepDuration: ptr.To[int64](0), SleepAfter: 60},
				Status: clusterv1.SleepModeConfigStatus{
					LastActivity:       1700000000,
					LastActivityInfo:   &clusterv1.LastActivityInfo{Subject: "alice", Verb: "get", Resource: "pods"},
					CurrentEpoch:       &clusterv1.EpochInfo{Start: 1, Slept: 2},
					SleptLastSevenDays: ptr.To(12.5), ScheduledSleep: ptr.To[int64](9),
				},
			},
		},
		{
			"list of spaces",
			`{"kind":"SpaceList","apiVersion":"cluster.loft.sh/v1","items":[{"metadata":{"name":"a"},"spec":{"finalizers":["kubernetes"]},` +
				`"status":{"phase":"Active","owner":{"user":{"name":"alice"}},"sleepModeConfig":{}}}]}`,
			&clusterv1.SpaceList{Items: []clusterv1.Space{{
				ObjectMeta: metav1.ObjectMeta{Name: "a"},
				Spec:       clusterv1.SpaceSpec{Finalizers: []corev1.FinalizerName{"kubernetes"}},
				Status: clusterv1.SpaceStatus{
					Phase: corev1.NamespaceActive, SleepModeConfig: &clusterv1.SleepModeConfig{},
					Owner: &clusterv1.SpaceOwner{User: &clusterv1.EntityInfo{Name: "alice"}},
				},
			}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := runtime.Decode(decoder, []byte(tt.body))
			if err != nil {
				t.Fatalf("decode: %v", err)
			}
			got.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
