package issued

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/pkg/accesstoken"
)

// alice has one key and is in teams.
func alice(teams ...string) Owner {
	return Owner{Enabled: true, UID: "1", Teams: teams, Key: func(name string) (Version, bool) { return Version{UID: "k"}, name == "key" }}
}

func aliceToken(now time.Time) Token {
	return Token{Subject: "loft:user:alice", AccessKey: "key", Expiry: now.Add(24 * time.Hour)}
}

func extend(t *testing.T, r Record, owner Owner, now time.Time) (Record, bool) {
	t.Helper()
	extended, changed, err := r.Extend(aliceToken(now), owner, now)
	if err != nil {
		t.Fatal(err)
	}
	return extended, changed
}

func TestRenewingAllDayIsAFewWrites(t *testing.T) {
	record, writes := Record{}, 0
	for at := time.Duration(0); at < 24*time.Hour; at += 30 * time.Minute {
		var changed bool
		if record, changed = extend(t, record, alice("blue"), testNow.Add(at)); changed {
			writes++
		}
	}
	if writes > 5 {
		t.Errorf("%d writes", writes)
	}
}

func TestWhoLeavesATeamGetsAGoodTokenAtOnce(t *testing.T) {
	before, _ := extend(t, Record{}, alice("blue", "red"), testNow)
	if list := before.Revocations(alice("blue", "red")); len(list) > 0 {
		t.Fatalf("revoked already: %+v", list)
	}
	if diff := cmp.Diff([]Revocation{{Subject: "loft:user:alice"}}, before.Revocations(alice("blue"))); diff != "" {
		t.Errorf("before the leader has looked: -want +got:\n%s", diff)
	}
	now := testNow.Add(time.Minute)
	after, _ := extend(t, before, alice("blue"), now)
	cutoff := now.Add(cutoffAhead).Unix()
	if diff := cmp.Diff([]Revocation{{Subject: "loft:user:alice", Cutoff: cutoff, Last: cutoff}}, after.Revocations(alice("blue"))); diff != "" {
		t.Errorf("after a new token: -want +got:\n%s", diff)
	}
	issuedAt := after.IssuedAt(now)
	if issuedAt.Unix() <= cutoff || issuedAt.Sub(now) > accesstoken.Leeway/2 {
		t.Errorf("dated %s after now, and the cutoff is %s after now", issuedAt.Sub(now), time.Unix(cutoff, 0).Sub(now))
	}
	if settled, changed, _ := after.Settle(alice("blue"), now.Add(time.Minute)); changed {
		t.Errorf("the leader revokes the new token: %+v", settled)
	}
}

func TestRecordGoesWithItsLastToken(t *testing.T) {
	record, _ := extend(t, Record{}, alice(), testNow)
	gone := Owner{Key: func(string) (Version, bool) { return Version{}, false }}
	record, _, _ = record.Settle(gone, testNow)
	if again, changed, _ := record.Settle(gone, testNow.Add(time.Second)); changed {
		t.Errorf("written down once more: %+v", again)
	}
	if _, _, ended := record.Settle(gone, testNow.Add(24*time.Hour)); ended {
		t.Error("gone while its token can be used")
	}
	if _, _, ended := record.Settle(gone, testNow.Add(31*time.Hour)); !ended {
		t.Error("kept for ever")
	}
}

func TestManyKeysOfOneUserAreBounded(t *testing.T) {
	record := Record{}
	owner := alice()
	owner.Key = func(string) (Version, bool) { return Version{UID: "k"}, true }
	for i := range 2*maxKeys + 10 {
		token := aliceToken(testNow)
		token.AccessKey = fmt.Sprint(i)
		var err error
		if record, _, err = record.Extend(token, owner, testNow.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if len(record.Keys) > maxKeys || record.Cutoff == 0 {
		t.Errorf("%d keys, cutoff %d", len(record.Keys), record.Cutoff)
	}
}

func TestNoRecordForWhoIsGone(t *testing.T) {
	disabled, otherKey := alice(), alice()
	disabled.Enabled = false
	otherKey.Key = func(string) (Version, bool) { return Version{}, false }
	for name, owner := range map[string]Owner{"disabled": disabled, "key gone": otherKey} {
		if _, _, err := (&Record{}).Extend(aliceToken(testNow), owner, testNow); err == nil {
			t.Errorf("%s: written down", name)
		}
	}
}

// TestTooManyRevocationsRefuseMoreAndNeverLess has more revocations than a bundle names.
func TestTooManyRevocationsRefuseMoreAndNeverLess(t *testing.T) {
	var all []Revocation
	for i := range int64(MaxRevocations + 500) {
		r := Revocation{Subject: fmt.Sprintf("loft:user:u-%d", i), Cutoff: 1000 + i, Last: 1000 + i}
		switch i % 3 {
		case 1:
			r.Cutoff = 0 // all of a user who is gone
		case 2:
			r = Revocation{AccessKey: fmt.Sprintf("key-%d", i), Last: 1000 + i}
		}
		all = append(all, r)
	}
	all = append(all, Revocation{Subject: "loft:user:now"})
	list := List(all, []string{"b", "a", "b"})
	if list.IssuedBefore == nil || len(list.Subjects)+len(list.AccessKeys) != MaxRevocations {
		t.Fatalf("%d subjects and %d keys, everybody up to %v", len(list.Subjects), len(list.AccessKeys), list.IssuedBefore)
	}
	named := map[string]bool{}
	for _, s := range list.Subjects {
		named[s.Subject] = true
	}
	for _, key := range list.AccessKeys {
		named[key] = true
	}
	for _, r := range all {
		if !named[r.Subject+r.AccessKey] && (r.Last == 0 || r.Last > *list.IssuedBefore) {
			t.Errorf("%+v is lost", r)
		}
	}
	if !named["loft:user:now"] {
		t.Error("what is not settled was put together with what is")
	}
	if diff := cmp.Diff([]string{"a", "b"}, list.TokenIDs); diff != "" {
		t.Error(diff)
	}
	data, err := (&accesstoken.Bundle{Issuer: "i", ClusterUID: "c", Revocations: list}).Encode()
	if err == nil || len(data) > 0 {
		t.Error("a bundle without keys was encoded")
	}
}

func TestListDependsOnNoOrder(t *testing.T) {
	one := []Revocation{{Subject: "loft:user:a", Cutoff: 5, Last: 5}, {AccessKey: "k", Last: 5}, {Subject: "loft:user:b"}, {AccessKey: "j", Last: 7}}
	other := []Revocation{one[3], one[2], one[1], one[0]}
	if diff := cmp.Diff(List(one, []string{"x", "y"}), List(other, []string{"y", "x"})); diff != "" {
		t.Error(diff)
	}
}

func TestRecordsHaveNamesOfTheirOwn(t *testing.T) {
	long := ""
	for range 250 {
		long += "a"
	}
	seen := map[string]string{}
	for _, subject := range []string{"loft:user:a", "loft:team:a", "loft:user:team.a", "loft:user:a.b", "loft:user:" + long, "loft:team:" + long} {
		name := nameOf(subject)
		if other, found := seen[name]; found || len(name) > maxNameBytes {
			t.Errorf("%q is in %q, as is %q", subject, name, other)
		}
		seen[name] = subject
		if back := subjectOf(name); back != subject && back != "" {
			t.Errorf("%q is taken for %q", name, back)
		}
	}
}

func TestUnreadableRecordRevokesEverythingOfItsSubject(t *testing.T) {
	for name, data := range map[string]map[string]string{
		"empty": nil, "cut off": {recordKey: `{"subject":"loft:user:al`}, "of somebody else": {recordKey: `{"subject":"loft:user:bob","until":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			stored := Read(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: nameOf("loft:user:alice")}, Data: data})
			if stored.Err == nil || stored.Subject != "loft:user:alice" {
				t.Fatalf("read as %+v", stored)
			}
			revoked := stored.Revoked(testNow)
			if latest := testNow.Add(maxAhead).Unix() - 1; revoked.Cutoff != latest || revoked.Until < testNow.Add(accesstoken.MaxLifetime).Unix() {
				t.Errorf("revoked up to %d, remembered until %d", revoked.Cutoff, revoked.Until)
			}
		})
	}
}

func TestRevokedTokensAreForgottenInTime(t *testing.T) {
	configMap := &corev1.ConfigMap{Data: map[string]string{
		"NEW": "", "TYPO": "tomorrow", "OLD": testNow.Add(-time.Second).Format(time.RFC3339), "KEPT": testNow.Add(time.Hour).Format(time.RFC3339),
	}}
	if diff := cmp.Diff([]string{"KEPT", "NEW", "OLD", "TYPO"}, TokenIDs(configMap)); diff != "" {
		t.Error(diff)
	}
	tidy, changed := tidied(configMap, testNow)
	if !changed {
		t.Fatal("nothing changed")
	}
	if diff := cmp.Diff([]string{"KEPT", "NEW", "TYPO"}, TokenIDs(tidy)); diff != "" {
		t.Error(diff)
	}
	for _, id := range []string{"NEW", "TYPO"} {
		if end, err := time.Parse(time.RFC3339, tidy.Data[id]); err != nil || end.Before(testNow.Add(accesstoken.MaxLifetime)) {
			t.Errorf("%s is forgotten at %q", id, tidy.Data[id])
		}
	}
	if _, again := tidied(tidy, testNow); again {
		t.Error("changed once more")
	}
}
