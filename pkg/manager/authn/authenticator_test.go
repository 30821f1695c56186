package authn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	clienttesting "k8s.io/client-go/testing"
	testingclock "k8s.io/utils/clock/testing"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/generated/clientset/versioned/fake"
	"loft.sh/agent/generated/informers/externalversions"
	"loft.sh/agent/pkg/bearer"
	"loft.sh/agent/pkg/manager/access"
	"loft.sh/agent/pkg/manager/accesskey"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// world is an authenticator over some objects.
type world struct {
	*Authenticator
	clock   *testingclock.FakeClock
	storage *fake.Clientset
	// reviews says what the central cluster says of a token.
	reviews map[string]*user.DefaultInfo
	// away is set where the central cluster does not answer.
	away bool
}

func newWorld(t *testing.T, objects ...runtime.Object) *world {
	t.Helper()
	w := &world{clock: testingclock.NewFakeClock(epoch), storage: newStorage(t, objects...), reviews: map[string]*user.DefaultInfo{}}
	factory := externalversions.NewSharedInformerFactory(w.storage, 0)
	directory, err := access.NewDirectory(factory.Storage().V1())
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	if !directory.WaitForSync(t.Context()) {
		t.Fatal("not synced")
	}
	storage := w.storage.StorageV1()
	w.Authenticator = &Authenticator{
		Directory: directory,
		Keys:      &Keys{Directory: directory, Storage: storage, Activity: NewActivity(storage.AccessKeys(), w.clock), Clock: w.clock},
		Reviewer:  authenticator.TokenFunc(w.review),
		Limiter:   NewLimiter(3, 1, w.clock),
	}
	w.answerLookUps(func() (*storagev1.AccessKeyList, error) {
		if w.away {
			return &storagev1.AccessKeyList{}, errors.New("no answer")
		}
		return &storagev1.AccessKeyList{}, nil
	})
	return w
}

// answerLookUps answers lists with a field selector, of which the fake knows nothing.
func (w *world) answerLookUps(answer func() (*storagev1.AccessKeyList, error)) {
	w.storage.PrependReactor("list", "accesskeys", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if list, ok := action.(clienttesting.ListAction); !ok || list.GetListRestrictions().Fields.Empty() {
			return false, nil, nil
		}
		found, err := answer()
		return true, found, err
	})
}

// newStorage holds objects. The newer fake misspells the plural of AccessKey, and cannot be told.
func newStorage(t *testing.T, objects ...runtime.Object) *fake.Clientset {
	t.Helper()
	storage := fake.NewSimpleClientset()
	for _, object := range objects {
		var err error
		if key, ok := object.(*storagev1.AccessKey); ok {
			err = storage.Tracker().Create(storagev1.SchemeGroupVersion.WithResource("accesskeys"), key, "")
		} else {
			err = storage.Tracker().Add(object)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return storage
}

func (w *world) review(_ context.Context, token string) (*authenticator.Response, bool, error) {
	if w.away {
		return nil, false, fmt.Errorf("%w: no answer", bearer.ErrUnchecked)
	}
	info, ok := w.reviews[token]
	return &authenticator.Response{User: info}, ok, nil
}

func (w *world) ask(t *testing.T, token string) (user.Info, int) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	caller, err := w.Authenticate(r)
	if err == nil {
		return caller.User, http.StatusOK
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatalf("not an API status: %v", err)
	}
	return nil, int(status.Status().Code)
}

func newUser(name string, change func(*storagev1.UserSpec)) *storagev1.User {
	u := &storagev1.User{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "1"}}
	if change != nil {
		change(&u.Spec)
	}
	return u
}

// newKey makes a key whose secret is its name.
func newKey(name, owner string, change func(*storagev1.AccessKey)) *storagev1.AccessKey {
	key := &storagev1.AccessKey{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(epoch)},
		Spec:       storagev1.AccessKeySpec{User: owner, Key: accesskey.Hash(name)},
	}
	if change != nil {
		change(key)
	}
	return key
}

func TestAccessKeys(t *testing.T) {
	alice := newUser("alice", nil)
	team := &storagev1.Team{ObjectMeta: metav1.ObjectMeta{Name: "ops"}, Spec: storagev1.TeamSpec{Users: []string{"alice"}}}
	tests := []struct {
		name     string
		objects  []runtime.Object
		after    time.Duration
		want     int
		wantName string
	}{
		{"good", []runtime.Object{alice, newKey("k", "alice", nil)}, 0, 200, "loft:user:alice"},
		{"unknown", []runtime.Object{alice}, 0, 401, ""},
		{"disabled", []runtime.Object{alice, newKey("k", "alice", func(k *storagev1.AccessKey) { k.Spec.Disabled = true })}, 0, 401, ""},
		{"before its end", []runtime.Object{alice, newKey("k", "alice", func(k *storagev1.AccessKey) { k.Spec.TTL = 60 })}, 59 * time.Second, 200, "loft:user:alice"},
		{"expired", []runtime.Object{alice, newKey("k", "alice", func(k *storagev1.AccessKey) { k.Spec.TTL = 60 })}, time.Minute, 401, ""},
		{"idle", []runtime.Object{alice, newKey("k", "alice", func(k *storagev1.AccessKey) { k.Spec.TTL, k.Spec.TTLAfterLastActivity = 60, true })}, time.Minute, 401, ""},
		{"used lately", []runtime.Object{alice, newKey("k", "alice", func(k *storagev1.AccessKey) {
			k.Spec.TTL, k.Spec.TTLAfterLastActivity = 60, true
			k.Status.LastActivity = &metav1.Time{Time: epoch.Add(time.Minute)}
		})}, 90 * time.Second, 200, "loft:user:alice"},
		{"owner disabled", []runtime.Object{newUser("alice", func(s *storagev1.UserSpec) { s.Disabled = true }), newKey("k", "alice", nil)}, 0, 401, ""},
		{"owner gone", []runtime.Object{newKey("k", "alice", nil)}, 0, 401, ""},
		{"two keys of one secret", []runtime.Object{
			alice, newUser("bob", nil), newKey("k", "alice", nil),
			newKey("k2", "bob", func(k *storagev1.AccessKey) { k.Spec.Key = accesskey.Hash("k") }),
		}, 0, 401, ""},
		{"of a team", []runtime.Object{team, newKey("k", "", func(k *storagev1.AccessKey) { k.Spec.Team = "ops" })}, 0, 200, "loft:team:ops"},
		{"of a disabled team", []runtime.Object{
			&storagev1.Team{ObjectMeta: metav1.ObjectMeta{Name: "ops"}, Spec: storagev1.TeamSpec{Disabled: true}},
			newKey("k", "", func(k *storagev1.AccessKey) { k.Spec.Team = "ops" }),
		}, 0, 401, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.objects...)
			w.clock.SetTime(epoch.Add(tt.after))
			info, code := w.ask(t, "k")
			if code != tt.want {
				t.Fatalf("code %d, want %d", code, tt.want)
			}
			if tt.wantName != "" && (info.GetName() != tt.wantName || info.GetExtra()[access.ExtraAccessKey][0] != "k") {
				t.Errorf("got %+v, want %s by the key k", info, tt.wantName)
			}
		})
	}
}

// A key whose use keeps it alive lives on although its object has not been told yet.
func TestUseKeepsAKeyAliveBeforeItIsWritten(t *testing.T) {
	w := newWorld(t, newUser("alice", nil), newKey("k", "alice", func(k *storagev1.AccessKey) { k.Spec.TTL, k.Spec.TTLAfterLastActivity = 60, true }))
	for range 3 {
		w.clock.Step(50 * time.Second)
		if _, code := w.ask(t, "k"); code != http.StatusOK {
			t.Fatalf("code %d at %s", code, w.clock.Now())
		}
	}
}

func TestAKeyThatJustCameIsFound(t *testing.T) {
	key := newKey("k", "alice", nil)
	w := newWorld(t, newUser("alice", nil))
	w.answerLookUps(func() (*storagev1.AccessKeyList, error) {
		// The informers hear of it after the question.
		if err := w.storage.Tracker().Create(storagev1.SchemeGroupVersion.WithResource("accesskeys"), key, ""); err != nil {
			t.Error(err)
		}
		return &storagev1.AccessKeyList{Items: []storagev1.AccessKey{*key}}, nil
	})
	if info, code := w.ask(t, "k"); code != http.StatusOK || info.GetName() != "loft:user:alice" {
		t.Fatalf("code %d, %v", code, info)
	}
}

// 401 makes clients throw away a credential that may be good.
func TestWhatCannotBeCheckedIsNotWrong(t *testing.T) {
	w := newWorld(t, newUser("alice", nil))
	w.away = true
	for _, token := range []string{"k", "a.b.c"} {
		for range 10 { // and is not counted as failed either
			if _, code := w.ask(t, token); code != http.StatusServiceUnavailable {
				t.Fatalf("code %d for %q, want 503", code, token)
			}
		}
	}
	if _, code := w.ask(t, ""); code != http.StatusUnauthorized {
		t.Errorf("code %d without a credential, want 401", code)
	}
}

func TestGuessingIsLimited(t *testing.T) {
	w := newWorld(t, newUser("alice", nil), newKey("k", "alice", nil))
	codes := map[int]int{}
	for range 10 {
		_, code := w.ask(t, "guess")
		codes[code]++
	}
	if diff := cmp.Diff(map[int]int{401: 3, 429: 7}, codes); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	if _, code := w.ask(t, "k"); code != http.StatusOK {
		t.Errorf("code %d for a good key from the same address: others lock people out", code)
	}
	w.clock.Step(time.Second)
	if _, code := w.ask(t, "guess"); code != http.StatusUnauthorized {
		t.Errorf("code %d a second later, want 401", code)
	}
}

func TestOthersWord(t *testing.T) {
	objects := []runtime.Object{
		newUser("alice", func(s *storagev1.UserSpec) { s.Subject = "alice@idp" }),
		newUser("twin1", func(s *storagev1.UserSpec) { s.Subject = "twin" }),
		newUser("twin2", func(s *storagev1.UserSpec) { s.Subject = "twin" }),
	}
	tests := []struct {
		name string
		info user.DefaultInfo
		want int
		who  *user.DefaultInfo
	}{
		{"a user by subject", user.DefaultInfo{Name: "alice@idp", Groups: []string{"system:masters"}}, 200, &user.DefaultInfo{
			Name: "loft:user:alice", UID: "1", Groups: []string{"loft:user:alice", "loft:authenticated", "system:authenticated"},
		}},
		{"nobody's subject", user.DefaultInfo{Name: "system:serviceaccount:ci:bot", UID: "7", Groups: []string{"system:serviceaccounts"}}, 200, &user.DefaultInfo{
			Name: "system:serviceaccount:ci:bot", UID: "7", Groups: []string{"system:serviceaccounts", "system:authenticated"},
		}},
		{"two users' subject", user.DefaultInfo{Name: "twin"}, 403, nil},
		{"attack: named as one of ours", user.DefaultInfo{Name: "loft:user:alice"}, 401, nil},
		{"attack: in one of our groups", user.DefaultInfo{Name: "eve", Groups: []string{"loft:user:alice", "loft:team:ops"}}, 200, &user.DefaultInfo{
			Name: "eve", Groups: []string{"system:authenticated"},
		}},
		{"attack: with one of our keys", user.DefaultInfo{Name: "eve", Extra: map[string][]string{access.ExtraAccessKey: {"admin"}, "Loft.sh/access-key": {"admin"}}}, 200, &user.DefaultInfo{
			Name: "eve", Groups: []string{"system:authenticated"}, Extra: map[string][]string{},
		}},
		{"attack: nobody", user.DefaultInfo{}, 401, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, objects...)
			w.reviews["t"] = &tt.info
			info, code := w.ask(t, "t")
			if code != tt.want {
				t.Fatalf("code %d, want %d", code, tt.want)
			}
			if tt.who != nil {
				if diff := cmp.Diff(tt.who, info); diff != "" {
					t.Errorf("who (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// What an identity provider says makes nobody one of the system's own.
func TestProvidersCannotMakeSystemUsers(t *testing.T) {
	w := newWorld(t)
	if info, err := w.person(&user.DefaultInfo{Name: "system:admin"}, false); err == nil {
		t.Errorf("got %v for system:admin", info)
	}
	info, err := w.person(&user.DefaultInfo{Name: "eve", Groups: []string{"system:masters", "dev"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"dev", "system:authenticated"}, info.GetGroups()); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}
