package trust

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/accesstoken"
)

func encoded(t *testing.T, clusterUID string) []byte {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := accesstoken.NewSigner("https://manager.example.com", key)
	if err != nil {
		t.Fatal(err)
	}
	bundle := &accesstoken.Bundle{Issuer: signer.Issuer(), ClusterUID: clusterUID}
	bundle.JWKS.Keys = append(bundle.JWKS.Keys, signer.PublicJWK())
	data, err := bundle.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// replace swaps the file as a mounted ConfigMap is swapped: by rename.
func replace(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestFileIsReloadedAndABrokenOneIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bundle.json")
	replace(t, path, encoded(t, "first"))
	verifier := accesstoken.NewVerifier(clock.RealClock{})
	loader, err := (&Options{File: path}).NewLoader(verifier, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); loader.Run(ctx) }()
	defer func() { stop(); <-done }()
	uid := func(want string) func() bool {
		return func() bool { return loader.Loaded() && verifier.Bundle().ClusterUID == want && loader.Problem() == "" }
	}
	await(t, "the first bundle", uid("first"))
	replace(t, path, []byte("{"))
	await(t, "the problem of a broken bundle", func() bool { return loader.Problem() != "" })
	if got := verifier.Bundle(); got == nil || got.ClusterUID != "first" {
		t.Errorf("bundle in force: %+v, want the first one", got)
	}
	replace(t, path, encoded(t, "second"))
	await(t, "the second bundle", uid("second"))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	await(t, "the problem of a missing file", func() bool { return loader.Problem() != "" })
	if !loader.Loaded() {
		t.Error("the bundle went with its file")
	}
}

func TestBundleInForceComingAgainWakesNobody(t *testing.T) {
	good := encoded(t, "here")
	verifier := accesstoken.NewVerifier(clock.RealClock{})
	loader := &Loader{verifier: verifier}
	loader.accept(good)
	changed := verifier.Changed()
	loader.accept([]byte("{"))
	if loader.Problem() == "" {
		t.Fatal("a broken bundle is no problem")
	}
	loader.accept(good)
	select {
	case <-changed:
		t.Error("the same bundle was put in force again")
	default:
	}
	if problem := loader.Problem(); problem != "" {
		t.Errorf("problem %q, though the newest bundle is in force", problem)
	}
}

func TestValidate(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bundle.json")
	replace(t, bad, []byte(`{"issuer":"x"}`))
	for _, tc := range []struct {
		name    string
		options Options
		want    bool
	}{
		{"default", *NewOptions(), true},
		{"no namespace", Options{ConfigMap: "loft-agent-trust"}, false},
		{"nothing", Options{}, false},
		{"file that is not there", Options{File: bad + ".absent"}, false},
		{"file that is no bundle", Options{File: bad}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if errs := tc.options.Validate(); (len(errs) == 0) != tc.want {
				t.Errorf("errors %v, want none: %t", errs, tc.want)
			}
		})
	}
}
