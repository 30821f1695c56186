package signingkeys

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/fake"
	clocktesting "k8s.io/utils/clock/testing"
)

func newKeeper(t *testing.T, client *fake.Clientset) *Keeper {
	t.Helper()
	k, err := NewKeeper(Config{
		Client: client, Namespace: "loft", Issuer: testIssuer, Rotation: month, MaxLifetime: 24 * time.Hour,
		Clock: clocktesting.NewFakeClock(testNow),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); k.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	await(t, "sync", k.HasSynced)
	return k
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 2*time.Millisecond, 20*time.Second, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestBrokenSecretIsLeftAloneAndReported(t *testing.T) {
	for name, data := range map[string]map[string][]byte{
		"broken": {DataKey: []byte("{")}, "without the key": {"other": []byte("x")}, "empty": nil,
	} {
		t.Run(name, func(t *testing.T) {
			client := fake.NewClientset(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "loft", Name: SecretName}, Data: data})
			k := newKeeper(t, client)
			err := k.maintainOnce(t.Context())
			if err == nil || !strings.Contains(err.Error(), SecretName) || !strings.Contains(err.Error(), "delete the Secret") {
				t.Errorf("got %v, want an error that names the Secret and says what to do", err)
			}
			if _, err := k.Ring(); err == nil {
				t.Error("there are keys")
			}
			if k.Problem() == nil {
				t.Error("no problem is told")
			}
			for _, action := range client.Actions() {
				if verb := action.GetVerb(); verb != "get" && verb != "list" && verb != "watch" {
					t.Errorf("the Secret was changed: %s", verb)
				}
			}
		})
	}
}

func TestBrokenSecretKeepsTheKeysThatAreKnown(t *testing.T) {
	client := fake.NewClientset()
	k := newKeeper(t, client)
	if err := k.maintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "keys", func() bool { _, err := k.Ring(); return err == nil })
	before, _ := k.Ring()
	secrets := client.CoreV1().Secrets("loft")
	secret, err := secrets.Get(t.Context(), SecretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	good := secret.Data[DataKey]
	secret.Data[DataKey] = []byte("{")
	if secret, err = secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the problem", func() bool { return k.Problem() != nil })
	if after, err := k.Ring(); err != nil || after != before {
		t.Errorf("keys %v, error %v; want those from before", after, err)
	}
	secret.Data[DataKey] = good
	if _, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the problem", func() bool { return k.Problem() == nil })
	if err := secrets.Delete(t.Context(), SecretName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the keys to go with their Secret", func() bool { _, err := k.Ring(); return err != nil })
}

func TestRotationKeepsWhatOthersWroteIntoTheSecret(t *testing.T) {
	client := fake.NewClientset()
	k := newKeeper(t, client)
	if err := k.maintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	secrets := client.CoreV1().Secrets("loft")
	secret, err := secrets.Get(t.Context(), SecretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret.Labels = map[string]string{"backup": "yes"}
	secret.Annotations = map[string]string{AnnotationRotate: "now"}
	secret.Data["note"] = []byte("mine")
	if _, err := secrets.Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := k.maintainOnce(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the second key", func() bool { ring, err := k.Ring(); return err == nil && len(ring.Public()) == 2 })
	secret, err = secrets.Get(t.Context(), SecretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if secret.Labels["backup"] != "yes" || string(secret.Data["note"]) != "mine" || secret.Annotations[AnnotationRotate] != "now" {
		t.Errorf("lost: labels %v, annotations %v", secret.Labels, secret.Annotations)
	}
}
