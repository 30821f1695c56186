package management

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// TestDefinitionsRefuse shows the rules in the definitions of the custom resources what they shall refuse.
func TestDefinitionsRefuse(t *testing.T) {
	hash := "sha256:" + strings.Repeat("0", 64)
	storage := env.storage.StorageV1()
	key := func(change func(*storagev1.AccessKeySpec)) func(*testing.T) error {
		return func(t *testing.T) error {
			spec := storagev1.AccessKeySpec{User: "alice", Key: hash}
			change(&spec)
			_, err := storage.AccessKeys().Create(t.Context(), &storagev1.AccessKey{ObjectMeta: metav1.ObjectMeta{Name: "refused"}, Spec: spec},
				metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		}
	}
	change := func(change func(*storagev1.AccessKeySpec)) func(*testing.T) error {
		return func(t *testing.T) error {
			stored, err := storage.AccessKeys().Get(t.Context(), "alice", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			change(&stored.Spec)
			_, err = storage.AccessKeys().Update(t.Context(), stored, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		}
	}
	user := func(subject string) func(*testing.T) error {
		return func(t *testing.T) error {
			_, err := storage.Users().Create(t.Context(), &storagev1.User{ObjectMeta: metav1.ObjectMeta{Name: "refused"}, Spec: storagev1.UserSpec{Subject: subject}},
				metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		}
	}
	tests := []struct {
		name string
		try  func(*testing.T) error
		want string
	}{
		{"good key", key(func(*storagev1.AccessKeySpec) {}), ""},
		{"key of two", key(func(s *storagev1.AccessKeySpec) { s.Team = "x" }), "exactly one of user and team"},
		{"key of nobody", key(func(s *storagev1.AccessKeySpec) { s.User = "" }), "exactly one of user and team"},
		{"secret in clear", key(func(s *storagev1.AccessKeySpec) { s.Key = "hunter2" }), "spec.key"},
		{"negative lifetime", key(func(s *storagev1.AccessKeySpec) { s.TTL = -1 }), "spec.ttl"},
		{"another secret", change(func(s *storagev1.AccessKeySpec) { s.Key = hash }), "secret of a key cannot change"},
		{"another owner", change(func(s *storagev1.AccessKeySpec) { s.User = "bob" }), "another user"},
		{"to a team", change(func(s *storagev1.AccessKeySpec) { s.User, s.Team = "", "x" }), "cannot"},
		{"good subject", user("alice@idp"), ""},
		{"our own subject", user("loft:user:admin"), "reserved"},
		{"a node's subject", user("system:node:x"), "reserved"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.try(t)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
