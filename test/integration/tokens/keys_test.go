package tokens

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"loft.sh/agent/pkg/manager/tokens"
	"loft.sh/agent/pkg/manager/tokens/signingkeys"
)

// kids are the keys in the Secret, oldest first.
func kids(t *testing.T) ([]string, error) {
	t.Helper()
	secret, err := admin.CoreV1().Secrets("loft").Get(t.Context(), signingkeys.SecretName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return kidsOf(secret)
}

func kidsOf(secret *corev1.Secret) ([]string, error) {
	var doc struct{ Keys []struct{ ID string } }
	if err := json.Unmarshal(secret.Data[signingkeys.DataKey], &doc); err != nil {
		return nil, fmt.Errorf("the Secret is broken: %w", err)
	}
	var ids []string
	for _, key := range doc.Keys {
		ids = append(ids, key.ID)
	}
	return ids, nil
}

// rotate asks for a rotation by hand, as kubectl annotate does.
func rotate(t *testing.T, value string) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, signingkeys.AnnotationRotate, value)
	if _, err := admin.CoreV1().Secrets("loft").Patch(t.Context(), signingkeys.SecretName, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func removeKeys(t *testing.T) {
	t.Helper()
	_ = admin.CoreV1().Secrets("loft").Delete(t.Context(), signingkeys.SecretName, metav1.DeleteOptions{})
}

// knows says whether a manager trusts exactly these keys.
func knows(manager *tokens.Service, want []string) error {
	ring, err := manager.Keys.Ring()
	if err != nil {
		return err
	}
	var got []string
	for _, key := range ring.Public() {
		got = append(got, key.KeyID)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("trusts %q, and the Secret has %q", got, want)
	}
	return nil
}

// history watches the Secret, and finds versions that lack a key which an earlier one had.
type history struct {
	faults chan string
	stop   func()
}

func watchKeys(t *testing.T) *history {
	t.Helper()
	watch, err := admin.CoreV1().Secrets("loft").Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + signingkeys.SecretName})
	if err != nil {
		t.Fatal(err)
	}
	h := &history{faults: make(chan string, 100), stop: watch.Stop}
	go func() {
		defer close(h.faults)
		var before []string
		for event := range watch.ResultChan() {
			secret, ok := event.Object.(*corev1.Secret)
			if !ok {
				continue
			}
			now, err := kidsOf(secret)
			if err != nil {
				h.faults <- err.Error()
			}
			for _, id := range before {
				if !slices.Contains(now, id) {
					h.faults <- fmt.Sprintf("key %s was lost: %q became %q", id, before, now)
				}
			}
			before = now
		}
	}()
	return h
}

func (h *history) check(t *testing.T) {
	t.Helper()
	h.stop()
	for fault := range h.faults {
		t.Error(fault)
	}
}

// TestTwoLeadersLoseNoKey has two managers that both take themselves for the leader.
func TestTwoLeadersLoseNoKey(t *testing.T) {
	removeKeys(t)
	managers := []*tokens.Service{startManager(t), startManager(t)}
	await(t, "first key", func() error { _, err := kids(t); return err })
	h := watchKeys(t)
	const rotations = 10
	for i := range rotations {
		before, err := kids(t)
		if err != nil {
			t.Fatal(err)
		}
		rotate(t, fmt.Sprint(i))
		took := await(t, "next key", func() error {
			now, err := kids(t)
			if err == nil && len(now) == len(before) {
				err = errors.New("no new key")
			}
			return err
		})
		if took > 5*time.Second {
			t.Errorf("rotation %d took %s", i, took)
		}
	}
	all, err := kids(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != rotations+1 {
		t.Errorf("%d keys after %d rotations", len(all), rotations)
	}
	for _, manager := range managers {
		await(t, "managers to agree", func() error { return knows(manager, all) })
	}
	h.check(t)
}

// TestManagersKilledInTheMiddleOfRotations kills one of two managers, at any moment around its writes, and
// starts another in its place.
func TestManagersKilledInTheMiddleOfRotations(t *testing.T) {
	removeKeys(t)
	victim := spawnManager(t)
	await(t, "first key", func() error { _, err := kids(t); return err })
	other := startManager(t)
	h := watchKeys(t)
	random := rand.New(rand.NewPCG(4, 4))
	const rotations = 12
	for i := range rotations {
		rotate(t, fmt.Sprint("kill-", i))
		time.Sleep(time.Duration(random.IntN(25)) * time.Millisecond) // the moment of the kill
		kill(victim)
		await(t, "the other manager to end the rotation", func() error {
			now, err := kids(t)
			if err == nil && len(now) != i+2 {
				err = fmt.Errorf("%d keys after %d rotations", len(now), i+1)
			}
			return err
		})
		victim = spawnManager(t)
	}
	all, err := kids(t)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the manager that is left to know all keys", func() error { return knows(other, all) })
	h.check(t)
}

// TestOnlyManagerIsKilledAndStartedAgain leaves nobody to end a rotation but the next one.
func TestOnlyManagerIsKilledAndStartedAgain(t *testing.T) {
	removeKeys(t)
	random := rand.New(rand.NewPCG(5, 5))
	for i := range 8 {
		victim := spawnManager(t)
		await(t, "keys", func() error {
			now, err := kids(t)
			if err == nil && len(now) != i+1 {
				err = fmt.Errorf("%d keys, want %d", len(now), i+1)
			}
			return err
		})
		rotate(t, fmt.Sprint("alone-", i))
		time.Sleep(time.Duration(random.IntN(15)) * time.Millisecond) // the moment of the kill
		kill(victim)
	}
}

// TestBrokenSecretIsNotReplaced breaks the Secret under two managers, mends it and takes it away.
func TestBrokenSecretIsNotReplaced(t *testing.T) {
	removeKeys(t)
	managers := []*tokens.Service{startManager(t), startManager(t)}
	await(t, "first key", func() error { _, err := kids(t); return err })
	secrets := admin.CoreV1().Secrets("loft")
	secret, err := secrets.Get(t.Context(), signingkeys.SecretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	good, err := kidsOf(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, manager := range managers {
		await(t, "key", func() error { return knows(manager, good) })
	}
	text := secret.Data[signingkeys.DataKey]
	secret.Data[signingkeys.DataKey] = text[:len(text)/2]
	if secret, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, manager := range managers {
		await(t, "problem", func() error {
			if problem := manager.Keys.Problem(); problem == nil || !strings.Contains(problem.Error(), signingkeys.SecretName) {
				return errors.New("the problem is " + fmt.Sprint(problem))
			}
			return knows(manager, good) // those from before are good still
		})
	}
	rotate(t, "not now")
	fresh := startManager(t)
	await(t, "a new manager's problem", func() error {
		if _, err := fresh.Keys.Ring(); err == nil || !strings.Contains(err.Error(), "put it right") {
			return errors.New("the error is " + fmt.Sprint(err))
		}
		return nil
	})
	after, err := secrets.Get(t.Context(), signingkeys.SecretName, metav1.GetOptions{})
	if err != nil || string(after.Data[signingkeys.DataKey]) != string(secret.Data[signingkeys.DataKey]) {
		t.Fatalf("the broken Secret was changed (error %v)", err)
	}
	after.Data[signingkeys.DataKey] = text
	if _, err := secrets.Update(t.Context(), after, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the rotation that was asked for meanwhile", func() error {
		now, err := kids(t)
		if err == nil && (len(now) != 2 || now[0] != good[0]) {
			err = fmt.Errorf("keys %q, want %q and another", now, good)
		}
		return err
	})
	removeKeys(t)
	await(t, "new keys where the Secret was taken away", func() error {
		now, err := kids(t)
		if err == nil && slices.Contains(now, good[0]) {
			err = errors.New("the old key is back")
		}
		return err
	})
}
