package bootstrap

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubernetesfake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/generated/clientset/versioned/fake"
	"loft.sh/agent/pkg/manager/accesskey"
)

// newAdministrator works on objects of a fake cluster. The newer fake of the custom resources
// misspells the plural of AccessKey.
func newAdministrator(t *testing.T, objects ...runtime.Object) (*Administrator, *fake.Clientset, *kubernetesfake.Clientset) {
	t.Helper()
	storage := fake.NewSimpleClientset(objects...)
	central := kubernetesfake.NewClientset()
	return &Administrator{Storage: storage.StorageV1(), Secrets: central.CoreV1().Secrets("loft")}, storage, central
}

func checkMade(t *testing.T, a *Administrator) {
	t.Helper()
	secret, err := a.Secrets.Get(t.Context(), SecretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := a.Storage.AccessKeys().Get(t.Context(), accessKeyName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if key.Spec.User != User || key.Spec.Key != accesskey.Hash(string(secret.Data[SecretKey])) {
		t.Errorf("key %+v is not the one in the Secret", key.Spec)
	}
	team, err := a.Storage.Teams().Get(t.Context(), Team, metav1.GetOptions{})
	if err != nil || len(team.Spec.Users) == 0 || team.Spec.Users[len(team.Spec.Users)-1] != User {
		t.Errorf("team %+v: %v", team, err)
	}
	if _, err := a.Storage.Users().Get(t.Context(), User, metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestFirstAdministrator(t *testing.T) {
	a, _, _ := newAdministrator(t)
	a.Run(t.Context())
	checkMade(t, a)
}

// Whatever step fails, trying again ends with one key, the one in the Secret.
func TestInterruptedBootstrapIsResumed(t *testing.T) {
	for _, resource := range []string{"accesskeys", "teams", "users"} {
		t.Run(resource, func(t *testing.T) {
			a, storage, _ := newAdministrator(t)
			failed := false
			storage.PrependReactor("create", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
				if failed {
					return false, nil, nil
				}
				failed = true
				return true, nil, errors.New("killed")
			})
			if a.make(t.Context()) == nil {
				t.Fatal("nothing failed")
			}
			if err := a.make(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkMade(t, a)
		})
	}
}

func TestNobodyIsMadeBesideOthers(t *testing.T) {
	a, storage, _ := newAdministrator(t, &storagev1.User{ObjectMeta: metav1.ObjectMeta{Name: "alice"}})
	a.Run(t.Context())
	for _, action := range storage.Actions() {
		if action.GetVerb() != "list" {
			t.Errorf("%s %s although there is a user", action.GetVerb(), action.GetResource().Resource)
		}
	}
}

// A key that somebody put under that name in advance must not become the administrator's.
func TestAKeyThatWasPlantedIsNotTaken(t *testing.T) {
	a, _, _ := newAdministrator(t)
	if _, err := a.Storage.AccessKeys().Create(t.Context(), &storagev1.AccessKey{
		ObjectMeta: metav1.ObjectMeta{Name: accessKeyName}, Spec: storagev1.AccessKeySpec{User: User, Key: accesskey.Hash("planted")},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := a.make(t.Context()); !errors.Is(err, errOther) {
		t.Errorf("got %v, want %v", err, errOther)
	}
	if _, err := a.Storage.Users().Get(t.Context(), User, metav1.GetOptions{}); err == nil {
		t.Error("the user was made")
	}
}

func TestAnEmptySecretIsNamed(t *testing.T) {
	a, _, central := newAdministrator(t)
	if err := central.Tracker().Add(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: SecretName, Namespace: "loft"}}); err != nil {
		t.Fatal(err)
	}
	if err := a.make(t.Context()); err == nil {
		t.Error("went on without a key")
	}
}
