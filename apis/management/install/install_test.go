package install

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
)

// TestBodiesOfOldClients holds that what a 2.x client sends is decoded, through the internal version
// that a generic API server decodes into.
func TestBodiesOfOldClients(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := Install(scheme); err != nil {
		t.Fatalf("install: %v", err)
	}
	codecs := serializer.NewCodecFactory(scheme)
	internal := schema.GroupVersion{Group: managementv1.GroupName, Version: runtime.APIVersionInternal}
	decoder := codecs.DecoderToVersion(codecs.UniversalDeserializer(), internal)
	tests := []struct {
		name, body string
		want       runtime.Object
	}{
		{
			"who am I",
			`{"kind":"Self","apiVersion":"management.loft.sh/v1","metadata":{"creationTimestamp":null},"spec":{},"status":{}}`,
			&managementv1.Self{},
		},
		{
			"token",
			`{"kind":"DirectClusterEndpointToken","apiVersion":"management.loft.sh/v1","metadata":{"creationTimestamp":null},` +
				`"spec":{"ttl":60,"scope":{"readOnly":true,"clusters":[{"cluster":"eu"}]}},"status":{}}`,
			&managementv1.DirectClusterEndpointToken{Spec: managementv1.DirectClusterEndpointTokenSpec{
				TTL:   60,
				Scope: &storagev1.AccessScope{ReadOnly: true, Clusters: []storagev1.AccessScopeCluster{{Cluster: "eu"}}},
			}},
		},
		{
			"user with a team",
			`{"kind":"User","apiVersion":"management.loft.sh/v1","metadata":{"name":"alice"},"spec":{"email":"a@example.com"},` +
				`"status":{"teams":[{"name":"core"}]}}`,
			&managementv1.User{
				ObjectMeta: metav1.ObjectMeta{Name: "alice"},
				Spec:       storagev1.UserSpec{Email: "a@example.com"},
				Status:     managementv1.UserStatus{Teams: []managementv1.EntityInfo{{Name: "core"}}},
			},
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
