package central

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/test/controlplane"
	installation "loft.sh/agent/test/sandbox/central"
)

// promise is within which time what was taken away is refused everywhere.
const promise = 10 * time.Second

// patience is for what has no promised time.
const patience = time.Minute

// person is a user with an access key, who may use clusters.
type person struct{ name, key string }

// newPerson makes a person who may do everything in clusters, until the test's end.
func newPerson(t *testing.T, name string, clusters ...string) person {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if err := shared.AddPerson(ctx, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gone(t, shared.Storage().Users().Delete(ctx, name, metav1.DeleteOptions{})) })
	key, err := shared.AddKey(ctx, name, storagev1.AccessKeySpec{User: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { gone(t, shared.Storage().AccessKeys().Delete(ctx, name, metav1.DeleteOptions{})) })
	if len(clusters) > 0 {
		if err := shared.Allow(ctx, name, clusters...); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { gone(t, shared.Storage().ClusterAccesses().Delete(ctx, name, metav1.DeleteOptions{})) })
	}
	p := person{name: name, key: key}
	await(t, patience, "the manager knows "+name, func() error {
		return p.manager(http.MethodGet, "/kubernetes/management/version", "").wants(http.StatusOK)
	})
	return p
}

func gone(t *testing.T, err error) {
	t.Helper()
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

// manager asks the manager's door as the person.
func (p person) manager(method, path, body string) answer {
	return send(shared.CAFile(), p.key, method, shared.URL()+path, body)
}

// endpoint asks a cluster's endpoint with a direct token.
func endpoint(cluster, token, path string) answer {
	s := shared.Connected(cluster)
	return send(s.EndpointCA(), token, http.MethodGet, s.EndpointURL()+"/kubernetes/cluster"+path, "")
}

// alice may do everything in both clusters, for as long as all tests take.
func alice() person { return person{name: installation.Alice, key: shared.Key(installation.Alice)} }

// token asks for a direct token, which is for the named clusters, or for all without a name.
func (p person) token(t *testing.T, clusters ...string) string {
	t.Helper()
	spec := "{}"
	if len(clusters) > 0 {
		var named []string
		for _, cluster := range clusters {
			named = append(named, fmt.Sprintf(`{"cluster":%q}`, cluster))
		}
		spec = `{"scope":{"clusters":[` + strings.Join(named, ",") + `]}}`
	}
	a := p.manager(http.MethodPost, management+"/directclusterendpointtokens",
		`{"kind":"DirectClusterEndpointToken","apiVersion":"management.loft.sh/v1","spec":`+spec+`}`)
	if err := a.wants(http.StatusCreated); err != nil {
		t.Fatal(err)
	}
	token, _ := a.field("status", "token").(string)
	if token == "" {
		t.Fatalf("no token in %s", a.body)
	}
	return token
}

// keyOf is the ID of the key that signed a token.
func keyOf(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	data, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	var header struct {
		KeyID string `json:"kid"`
	}
	if err := json.Unmarshal(data, &header); err != nil {
		t.Fatal(err)
	}
	return header.KeyID
}

// kubeconfig writes a kubeconfig for a server.
func kubeconfig(t *testing.T, server, ca, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	err := controlplane.WriteKubeconfig(path, "central", &rest.Config{
		Host: server, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAFile: ca},
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// await waits until condition returns no error, and says how long that took.
func await(t *testing.T, bound time.Duration, what string, condition func() error) time.Duration {
	t.Helper()
	var last error
	began := time.Now()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, bound, true, func(context.Context) (bool, error) {
		last = condition()
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: not within %s: %v", what, bound, last)
	}
	return time.Since(began)
}

// same reports how two values differ.
func same(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
