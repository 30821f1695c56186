package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	clusterclient "loft.sh/agent/generated/clientset/versioned"
	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/sandbox"
)

// revocationBound is the promise: a revoked token is refused by every agent within it.
const revocationBound = 10 * time.Second

func client(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// setBundle puts data in place of the trust bundle, and the old one back at the end of the test.
func setBundle(t *testing.T, change func(*accesstoken.Bundle)) {
	t.Helper()
	setRawBundle(t, func(good []byte) []byte {
		bundle, err := accesstoken.ParseBundle(good)
		if err != nil {
			t.Fatal(err)
		}
		change(bundle)
		data, err := bundle.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return data
	})
}

func setRawBundle(t *testing.T, change func([]byte) []byte) {
	t.Helper()
	admin := client(t, shared.Cluster().RESTConfig())
	configMap, err := admin.CoreV1().ConfigMaps("loft").Get(t.Context(), "loft-agent-trust", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	good := []byte(configMap.Data["bundle.json"])
	t.Cleanup(func() {
		if err := sandbox.SetTrustBundle(context.Background(), admin, good); err != nil {
			t.Error(err)
		}
	})
	if err := sandbox.SetTrustBundle(t.Context(), admin, change(good)); err != nil {
		t.Fatal(err)
	}
}

func TestRevokedTokenIsRefusedAndItsWatchEnds(t *testing.T) {
	claims := person("revoked")
	claims.ID = "to-be-revoked"
	token := sign(t, claims)
	admit(t, "revoked")
	direct := client(t, shared.ClientConfig(token))
	watch, err := direct.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	began := time.Now()
	setBundle(t, func(b *accesstoken.Bundle) { b.Revocations.TokenIDs = []string{"to-be-revoked"} })
	for ended := false; !ended; {
		select {
		case _, open := <-watch.ResultChan():
			ended = !open
		case <-time.After(revocationBound):
			t.Fatalf("watch still open after %s", revocationBound)
		}
	}
	t.Logf("watch ended after %s", time.Since(began))
	if _, err := direct.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("list with a revoked token: %v, want 401", err)
	}
}

// admit lets a person do everything in the cluster until the test ends.
func admit(t *testing.T, name string) {
	t.Helper()
	admin := client(t, shared.Cluster().RESTConfig())
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "e2e-" + name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: accesstoken.PersonName(name)}},
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := admin.RbacV1().ClusterRoleBindings().Delete(context.Background(), binding.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	// The API server's authoriser learns of the binding a moment later.
	direct := client(t, shared.ClientConfig(sign(t, person(name))))
	await(t, func(ctx context.Context) error {
		_, err := direct.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{})
		return err
	})
}

// await waits until try succeeds.
func await(t *testing.T, try func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		last = try(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%v: %v", err, last)
	}
}

func TestBadTrustBundleKeepsTheOldOneAndShows(t *testing.T) {
	admit(t, "steady")
	direct := client(t, shared.ClientConfig(sign(t, person("steady"))))
	setRawBundle(t, func([]byte) []byte { return []byte(`{"issuer": ""}`) })
	await(t, func(ctx context.Context) error {
		body, err := readyz(ctx, t)
		if err == nil && !strings.Contains(body, "a newer one was refused") {
			err = errors.New("readyz does not show the refused bundle:\n" + body)
		}
		return err
	})
	if _, err := direct.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("a token of the bundle before is refused: %v", err)
	}
	aggregated, err := clusterclient.NewForConfig(shared.Cluster().RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	object, err := aggregated.ClusterV1().Kubernetes().Get(t.Context(), "cluster", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type == "TrustBundleLoaded" && condition.Status == metav1.ConditionFalse && condition.Reason == "BundleRefused" {
			return
		}
	}
	data, _ := json.Marshal(object.Status)
	t.Errorf("status does not show the refused bundle: %s", data)
}

func readyz(ctx context.Context, t *testing.T) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, shared.EndpointHTTPURL()+"/readyz?verbose", nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = errors.New(res.Status)
	}
	return string(body), err
}

func TestHostKnowsItsObject(t *testing.T) {
	aggregated, err := clusterclient.NewForConfig(shared.Cluster().RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	await(t, func(ctx context.Context) error {
		object, err := aggregated.ClusterV1().Kubernetes().Get(ctx, "cluster", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if object.Status.HostUID != shared.Keys().ClusterUID() || object.Status.HostVersion != "v1.37.2" {
			return errors.New("status: " + object.Status.HostUID + " " + object.Status.HostVersion)
		}
		return nil
	})
}
