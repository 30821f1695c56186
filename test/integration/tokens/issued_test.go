package tokens

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/accesskey"
	"loft.sh/agent/pkg/manager/tokens"
)

// revocationBound is what managers may take of the 10 s within which agents refuse.
const revocationBound = 5 * time.Second

// addPerson makes a user, who is in a team, with some access keys.
func addPerson(t *testing.T, name string, keys int) {
	t.Helper()
	if _, err := storage.StorageV1().Users().Create(t.Context(), &storagev1.User{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	team := &storagev1.Team{ObjectMeta: metav1.ObjectMeta{Name: "of-" + name}, Spec: storagev1.TeamSpec{Users: []string{name}}}
	if _, err := storage.StorageV1().Teams().Create(t.Context(), team, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		_, hash := accesskey.New()
		key := &storagev1.AccessKey{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, i)}, Spec: storagev1.AccessKeySpec{User: name, Key: hash}}
		if _, err := storage.StorageV1().AccessKeys().Create(t.Context(), key, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// issue asks a manager for a token until it knows who asks.
func issue(t *testing.T, manager *tokens.Service, name string, key int) string {
	t.Helper()
	info := &user.DefaultInfo{Name: accesstoken.PersonName(name), Extra: map[string][]string{access.ExtraAccessKey: {fmt.Sprintf("%s-%d", name, key)}}}
	var token string
	await(t, "token", func() error {
		status, err := manager.Issuer.Issue(t.Context(), info, managementv1.DirectClusterEndpointTokenSpec{})
		token = status.Token
		return err
	})
	return token
}

// judge asks an agent that has a manager's newest bundle.
func judge(manager *tokens.Service, token string) error {
	bundle, err := manager.Bundles.Bundle(&storagev1.Cluster{Status: storagev1.ClusterStatus{ClusterUID: "c"}})
	if err != nil {
		return err
	}
	v := accesstoken.NewVerifier(clock.RealClock{})
	v.SetBundle(bundle)
	_, err = v.Verify(token)
	return err
}

func revoked(manager *tokens.Service, token string) error {
	err := judge(manager, token)
	var refusal *accesstoken.Error
	if errors.As(err, &refusal) && refusal.Reason == accesstoken.ReasonRevoked {
		return nil
	}
	return errors.New("want it to be revoked, got " + fmt.Sprint(err))
}

// TestTwoManagersLoseNoIssuedToken has two managers issue to one person at the same time, and takes
// everything away again: what neither wrote down would stay good.
func TestTwoManagersLoseNoIssuedToken(t *testing.T) {
	managers := []*tokens.Service{startManager(t), startManager(t)}
	const keys = 12
	addPerson(t, "busy", keys)
	issue(t, managers[0], "busy", 0)
	issue(t, managers[1], "busy", keys-1)
	all := make([]string, 3*keys)
	var issuing sync.WaitGroup
	for i := range all {
		issuing.Go(func() { all[i] = issue(t, managers[i%2], "busy", i%keys) })
	}
	issuing.Wait()
	for _, token := range all {
		await(t, "good token", func() error { return judge(managers[0], token) })
	}
	for i := range keys {
		if err := storage.StorageV1().AccessKeys().Delete(t.Context(), fmt.Sprintf("busy-%d", i), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var slowest time.Duration
	for _, token := range all {
		for _, manager := range managers {
			slowest = max(slowest, await(t, "revoked token", func() error { return revoked(manager, token) }))
		}
	}
	t.Logf("the last of %d tokens was revoked after %s", len(all), slowest)
	if slowest > revocationBound {
		t.Errorf("took longer than %s", revocationBound)
	}
}

// TestLeavingATeamRevokesAndRenews measures from the change of the Team on.
func TestLeavingATeamRevokesAndRenews(t *testing.T) {
	manager := startManager(t)
	addPerson(t, "mover", 1)
	old := issue(t, manager, "mover", 0)
	await(t, "good token", func() error { return judge(manager, old) })
	if err := storage.StorageV1().Teams().Delete(t.Context(), "of-mover", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	took := await(t, "revoked token", func() error { return revoked(manager, old) })
	young := issue(t, manager, "mover", 0)
	await(t, "good new token", func() error { return judge(manager, young) })
	if err := revoked(manager, old); err != nil {
		t.Error(err)
	}
	t.Logf("revoked after %s", took)
	if took > revocationBound {
		t.Errorf("took longer than %s", revocationBound)
	}
}

// TestDeletedWhileNoManagerRan kills the only manager, deletes a user and starts another one.
func TestDeletedWhileNoManagerRan(t *testing.T) {
	addPerson(t, "leaver", 1)
	var token string
	t.Run("before", func(t *testing.T) { token = issue(t, startManager(t), "leaver", 0) })
	if err := storage.StorageV1().Users().Delete(t.Context(), "leaver", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	later := startManager(t)
	await(t, "revoked token", func() error { return revoked(later, token) })
	records, err := admin.CoreV1().ConfigMaps("loft").List(t.Context(), metav1.ListOptions{LabelSelector: "loft.sh/issued-tokens=true"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, record := range records.Items {
		names = append(names, record.Name)
	}
	if !slices.Contains(names, "loft-manager-issued-user.leaver") {
		t.Errorf("the record is gone before its last token is: %q", names)
	}
}
