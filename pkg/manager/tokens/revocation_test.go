package tokens

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/tokens/issued"
)

// bump makes an update that informers' listeners take for one of the spec.
func bump(meta *metav1.ObjectMeta) { meta.Generation++ }

func (w *world) setUser(t *testing.T, name string, change func(*storagev1.UserSpec)) {
	t.Helper()
	users := w.storage.StorageV1().Users()
	u, err := users.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	change(&u.Spec)
	bump(&u.ObjectMeta)
	if _, err := users.Update(t.Context(), u, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) setTeam(t *testing.T, name string, change func(*storagev1.TeamSpec)) {
	t.Helper()
	teams := w.storage.StorageV1().Teams()
	team, err := teams.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	change(&team.Spec)
	bump(&team.ObjectMeta)
	if _, err := teams.Update(t.Context(), team, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) setKey(t *testing.T, name string, change func(*storagev1.AccessKeySpec)) {
	t.Helper()
	keys := w.storage.StorageV1().AccessKeys()
	k, err := keys.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	change(&k.Spec)
	bump(&k.ObjectMeta)
	if _, err := keys.Update(t.Context(), k, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRevoked takes something away from who has a token. other is a token that must outlive it.
func TestRevoked(t *testing.T) {
	alice, team := person("loft:user:alice", "plain"), person("loft:team:blue", "team-key")
	none := metav1.DeleteOptions{}
	tests := []struct {
		name string
		take func(t *testing.T, w *world)
		// whose token is refused, and whose is not
		team, keepSecond, keepTeam bool
	}{
		{"DeletedKey", func(t *testing.T, w *world) {
			w.must(t, w.storage.StorageV1().AccessKeys().Delete(t.Context(), "plain", none))
		}, false, true, true},
		{"DisabledKey", func(t *testing.T, w *world) {
			w.setKey(t, "plain", func(k *storagev1.AccessKeySpec) { k.Disabled = true })
		}, false, true, true},
		{"KeyWithAnotherScope", func(t *testing.T, w *world) {
			w.setKey(t, "plain", func(k *storagev1.AccessKeySpec) { k.Scope = &storagev1.AccessScope{ReadOnly: true} })
		}, false, false, true},
		{"KeyWhoseLifeWasCutShort", func(t *testing.T, w *world) { w.setKey(t, "plain", func(k *storagev1.AccessKeySpec) { k.TTL = 1 }) }, false, true, true},
		{"DisabledUser", func(t *testing.T, w *world) { w.setUser(t, "alice", func(u *storagev1.UserSpec) { u.Disabled = true }) }, false, false, true},
		{"DeletedUser", func(t *testing.T, w *world) {
			w.must(t, w.storage.StorageV1().Users().Delete(t.Context(), "alice", none))
		}, false, false, true},
		{"UserWhoLeftATeam", func(t *testing.T, w *world) { w.setTeam(t, "blue", func(s *storagev1.TeamSpec) { s.Users = nil }) }, false, false, true},
		{"UserWhoLeftAGroupOfATeam", func(t *testing.T, w *world) { w.setUser(t, "alice", func(u *storagev1.UserSpec) { u.Groups = nil }) }, false, false, true},
		{"MemberOfADisabledTeam", func(t *testing.T, w *world) { w.setTeam(t, "devs", func(s *storagev1.TeamSpec) { s.Disabled = true }) }, false, false, true},
		{"MemberOfADeletedTeam", func(t *testing.T, w *world) {
			w.must(t, w.storage.StorageV1().Teams().Delete(t.Context(), "devs", none))
		}, false, false, true},
		{"DisabledTeam", func(t *testing.T, w *world) { w.setTeam(t, "blue", func(s *storagev1.TeamSpec) { s.Disabled = true }) }, true, false, false},
		{"DeletedKeyOfATeam", func(t *testing.T, w *world) {
			w.must(t, w.storage.StorageV1().AccessKeys().Delete(t.Context(), "team-key", none))
		}, true, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, nil)
			first, second, teams := w.issue(t, alice, ask("eu")), w.issue(t, person("loft:user:alice", "second"), ask()), w.issue(t, team, ask("eu"))
			bobs := w.issue(t, person("loft:user:bob", "bobs"), ask())
			for _, token := range []string{first, second, teams, bobs} {
				w.verified(t, token)
			}
			tt.take(t, w)
			if tt.team {
				w.refused(t, teams)
			} else {
				w.refused(t, first)
			}
			w.verified(t, bobs)
			if tt.keepSecond {
				w.verified(t, second)
			} else {
				w.refused(t, second)
			}
			if tt.keepTeam {
				w.verified(t, teams)
			} else {
				w.refused(t, teams)
			}
		})
	}
}

// TestNewTokensWorkWhereOldOnesAreRevoked asks for a new token at the moment at which the old one is taken.
func TestNewTokensWorkWhereOldOnesAreRevoked(t *testing.T) {
	tests := []struct {
		name string
		take func(t *testing.T, w *world)
		// atOnce: the first token after it is as good as any later one
		atOnce bool
	}{
		{"LeftATeam", func(t *testing.T, w *world) { w.setTeam(t, "blue", func(s *storagev1.TeamSpec) { s.Users = nil }) }, true},
		{"KeyNarrowed", func(t *testing.T, w *world) {
			w.setKey(t, "plain", func(k *storagev1.AccessKeySpec) { k.Scope = &storagev1.AccessScope{ReadOnly: true} })
		}, true},
		{"KeyDisabledAndEnabledAgain", func(t *testing.T, w *world) {
			token := w.issue(t, person("loft:user:alice", "plain"), ask())
			w.setKey(t, "plain", func(k *storagev1.AccessKeySpec) { k.Disabled = true })
			w.refused(t, token)
			w.awaitRecord(t, "loft-manager-issued-user.alice", "revokedAt")
			w.setKey(t, "plain", func(k *storagev1.AccessKeySpec) { k.Disabled = false })
		}, false},
		{"KeyDeletedAndMadeAgain", func(t *testing.T, w *world) {
			w.must(t, w.storage.StorageV1().AccessKeys().Delete(t.Context(), "plain", metav1.DeleteOptions{}))
			again := key("plain", "alice", nil)
			again.UID = "another"
			w.create(t, again)
		}, false},
		{"UserDeletedAndMadeAgain", func(t *testing.T, w *world) {
			w.must(t, w.storage.StorageV1().Users().Delete(t.Context(), "alice", metav1.DeleteOptions{}))
			again := &storagev1.User{ObjectMeta: named("alice")}
			again.UID = "another"
			w.create(t, again)
		}, false},
		{"UserDisabledAndEnabledAgain", func(t *testing.T, w *world) {
			token := w.issue(t, person("loft:user:alice", "plain"), ask())
			w.setUser(t, "alice", func(u *storagev1.UserSpec) { u.Disabled = true })
			w.refused(t, token)
			w.awaitRecord(t, "loft-manager-issued-user.alice", "issuedBefore")
			w.setUser(t, "alice", func(u *storagev1.UserSpec) { u.Disabled = false })
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, nil)
			info := person("loft:user:alice", "plain")
			old := w.issue(t, info, ask())
			w.verified(t, old)
			before := w.policy.Changed()
			tt.take(t, w)
			<-before
			var young string
			w.await(t, "new token", func() error {
				status, err := w.Issuer.Issue(t.Context(), info, ask())
				young = status.Token
				return err
			})
			w.refused(t, old)
			w.verified(t, w.issue(t, info, ask()))
			if tt.atOnce {
				w.verified(t, young)
			}
			for range 100 { // for as long as agents could get other bundles
				w.clock.Step(time.Second)
			}
			w.refused(t, old)
			w.verified(t, w.issue(t, info, ask()))
			if tt.atOnce {
				w.verified(t, young)
			}
		})
	}
}

// awaitRecord waits until the leader has written something into a record.
func (w *world) awaitRecord(t *testing.T, name, member string) {
	t.Helper()
	w.await(t, "record", func() error {
		configMap, err := w.kube.CoreV1().ConfigMaps(testNamespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return contains(configMap.Data["record.json"], member)
	})
}

func TestSingleTokenIsRevoked(t *testing.T) {
	w := newWorld(t, nil)
	info := person("loft:user:alice", "plain")
	one, other := w.issue(t, info, ask()), w.issue(t, info, ask())
	configMaps := w.kube.CoreV1().ConfigMaps(testNamespace)
	var revoked *corev1.ConfigMap
	w.await(t, "the ConfigMap of revoked tokens", func() (err error) {
		revoked, err = configMaps.Get(t.Context(), issued.RevokedName, metav1.GetOptions{})
		return err
	})
	revoked.Data = map[string]string{claimsOf(t, one).ID: ""}
	if _, err := configMaps.Update(t.Context(), revoked, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.refused(t, one)
	w.verified(t, other)
	w.await(t, "its end to be filled in", func() error {
		configMap, err := configMaps.Get(t.Context(), issued.RevokedName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		_, err = time.Parse(time.RFC3339, configMap.Data[claimsOf(t, one).ID])
		return err
	})
}

// TestTakenAwayWhileNoManagerRan deletes a key and a membership between two managers.
func TestTakenAwayWhileNoManagerRan(t *testing.T) {
	w := newWorld(t, nil)
	alice := w.issue(t, person("loft:user:alice", "plain"), ask())
	bobs := w.issue(t, person("loft:user:bob", "bobs"), ask())
	w.verified(t, alice)
	// Another manager, which knows the central cluster alone.
	later := &world{kube: w.kube, storage: w.storage, clock: w.clock}
	w.must(t, w.storage.StorageV1().AccessKeys().Delete(t.Context(), "bobs", metav1.DeleteOptions{}))
	w.setTeam(t, "blue", func(s *storagev1.TeamSpec) { s.Users = nil })
	later.start(t, nil)
	later.refused(t, alice)
	later.refused(t, bobs)
}

func TestUnreadableRecordLetsNobodyIn(t *testing.T) {
	w := newWorld(t, nil)
	token := w.issue(t, person("loft:user:alice", "plain"), ask())
	w.verified(t, token)
	configMaps := w.kube.CoreV1().ConfigMaps(testNamespace)
	record, err := configMaps.Get(t.Context(), "loft-manager-issued-user.alice", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	record.Data = map[string]string{"record.json": "{"}
	if _, err := configMaps.Update(t.Context(), record, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.refused(t, token)
	w.await(t, "a new token", func() error {
		_, err := w.Issuer.Issue(t.Context(), person("loft:user:alice", "plain"), ask())
		return err
	})
	w.refused(t, token)
}

// TestUnchangedBundleHasTheSameBytes has two managers make bundles of one state.
func TestUnchangedBundleHasTheSameBytes(t *testing.T) {
	w := newWorld(t, nil)
	for _, name := range []string{"plain", "second", "eu-only"} {
		w.verified(t, w.issue(t, person("loft:user:alice", name), ask()))
		w.must(t, w.storage.StorageV1().AccessKeys().Delete(t.Context(), name, metav1.DeleteOptions{}))
	}
	other := &world{kube: w.kube, storage: w.storage, clock: w.clock}
	other.start(t, nil)
	eu := cluster("eu", "uid-eu")
	w.await(t, "three revoked keys", func() error { return w.sameBundle(other, eu, 3) })
	changed := w.Bundles.Changed()
	for range 200 {
		w.clock.Step(time.Second)
	}
	if err := w.sameBundle(other, eu, 3); err != nil {
		t.Error(err)
	}
	select {
	case <-changed:
		t.Error("Changed without a change")
	default:
	}
}

func TestBundleOfACluster(t *testing.T) {
	w := newWorld(t, nil)
	seconds := func(value string) *int64 {
		c := cluster("eu", "uid-eu")
		c.Annotations = map[string]string{storagev1.AnnotationStreamIdleTimeout: value}
		bundle, err := w.Bundles.Bundle(c)
		if err != nil {
			t.Fatal(err)
		}
		return bundle.StreamingConnectionIdleTimeoutSeconds
	}
	w.await(t, "a bundle", func() error { _, err := w.Bundles.Bundle(cluster("eu", "uid-eu")); return err })
	if got := seconds("90"); got == nil || *got != 90 {
		t.Errorf("idle timeout %v, want 90", got)
	}
	for _, value := range []string{"", "-1", "soon", "99999999999"} {
		if got := seconds(value); got != nil {
			t.Errorf("idle timeout %d for %q", *got, value)
		}
	}
	if bundle, err := w.Bundles.Bundle(cluster("new", "")); err == nil {
		t.Errorf("a cluster without a UID has bundle %+v", bundle)
	}
}
