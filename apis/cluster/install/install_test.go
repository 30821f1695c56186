package install

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	clusterv1 "loft.sh/agent/apis/cluster/v1"
)

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := Install(scheme); err != nil {
		t.Fatalf("install: %v", err)
	}
	return scheme
}

func fullObject() *clusterv1.Kubernetes {
	created := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Local())
	return &clusterv1.Kubernetes{
		TypeMeta:   metav1.TypeMeta{APIVersion: "cluster.loft.sh/v1", Kind: "Kubernetes"},
		ObjectMeta: metav1.ObjectMeta{Name: clusterv1.KubernetesName, CreationTimestamp: created},
		Status: clusterv1.KubernetesStatus{
			AgentVersion: "v0.1.0",
			HostVersion:  "v1.37.2",
			HostUID:      "5c7f6a4e-2f7a-4a35-9d0c-2f5b6e1a7c11",
			Conditions: []metav1.Condition{{
				Type:               clusterv1.ConditionReady,
				Status:             metav1.ConditionTrue,
				Reason:             "Serving",
				Message:            "the direct endpoint serves requests",
				LastTransitionTime: created,
			}},
		},
	}
}

// TestRoundTrip holds that an object survives encoding, also through the internal version
// that a generic API server decodes into.
func TestRoundTrip(t *testing.T) {
	scheme := newScheme(t)
	codecs := serializer.NewCodecFactory(scheme)
	internal := schema.GroupVersion{Group: clusterv1.GroupName, Version: runtime.APIVersionInternal}
	object := fullObject()
	list := &clusterv1.KubernetesList{
		TypeMeta: metav1.TypeMeta{APIVersion: "cluster.loft.sh/v1", Kind: "KubernetesList"},
		Items:    []clusterv1.Kubernetes{*object},
	}
	options := &clusterv1.ProxyOptions{
		TypeMeta: metav1.TypeMeta{APIVersion: "cluster.loft.sh/v1", Kind: "ProxyOptions"},
		Path:     "api/v1/pods",
	}
	for name, want := range map[string]runtime.Object{"object": object, "list": list, "options": options} {
		t.Run(name, func(t *testing.T) {
			codec := codecs.CodecForVersions(
				codecs.LegacyCodec(clusterv1.SchemeGroupVersion),
				codecs.UniversalDeserializer(), clusterv1.SchemeGroupVersion, internal)
			data, err := runtime.Encode(codec, want)
			if err != nil {
				t.Fatalf("encode: %v", err)
			}
			decoded, err := runtime.Decode(codec, data)
			if err != nil {
				t.Fatalf("decode %s: %v", data, err)
			}
			again, err := runtime.Encode(codec, decoded)
			if err != nil {
				t.Fatalf("encode again: %v", err)
			}
			got, _, err := codecs.UniversalDeserializer().Decode(again, nil, nil)
			if err != nil {
				t.Fatalf("decode again: %v", err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("object changed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPreferredKind holds the order of registration that the server's discovery relies on.
func TestPreferredKind(t *testing.T) {
	kinds, _, err := newScheme(t).ObjectKinds(&clusterv1.Kubernetes{})
	if err != nil {
		t.Fatal(err)
	}
	if want := clusterv1.SchemeGroupVersion.WithKind("Kubernetes"); kinds[0] != want {
		t.Errorf("first kind: got %v, want %v", kinds[0], want)
	}
}

func TestProxyOptionsFromQuery(t *testing.T) {
	tests := []struct {
		name     string
		query    url.Values
		wantPath string
	}{
		{name: "none", query: url.Values{}},
		{name: "path", query: url.Values{"path": {"api/v1/pods"}}, wantPath: "api/v1/pods"},
		{name: "first of many", query: url.Values{"path": {"a", "b"}}, wantPath: "a"},
		{name: "others are ignored", query: url.Values{"limit": {"5"}}},
	}
	codec := runtime.NewParameterCodec(newScheme(t))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got clusterv1.ProxyOptions
			if err := codec.DecodeParameters(tt.query, clusterv1.SchemeGroupVersion, &got); err != nil {
				t.Fatalf("decode %v: %v", tt.query, err)
			}
			if got.Path != tt.wantPath {
				t.Errorf("path: got %q, want %q", got.Path, tt.wantPath)
			}
		})
	}
}
