package management

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

// kubeconfigToken must be in the Secret and nowhere else.
const kubeconfigToken = "t0p-secret-of-a-cluster"

func kubeconfigBody(t *testing.T, server, user string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"kind": "ClusterKubeconfig", "apiVersion": "management.loft.sh/v1", "spec": map[string]any{"config": `{
			"clusters": [{"name": "c", "cluster": {"server": "` + server + `"}}], "users": [{"name": "c", "user": ` + user + `}],
			"contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}]}`},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestKubeconfigOfACluster has an administrator give it and replace it.
func TestKubeconfigOfACluster(t *testing.T) {
	const name = "connected"
	clusters := env.storage.StorageV1().Clusters()
	if _, err := clusters.Create(t.Context(), &storagev1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	path := api + "/clusters/" + name + "/kubeconfig"
	token := `{"token": "` + kubeconfigToken + `"}`
	good := kubeconfigBody(t, "https://one", token)
	tests := []struct {
		name, who, path, body string
		wantCode              int
		wantText              string
	}{
		{"not for everybody", "alice", path, good, http.StatusForbidden, "loft:user:alice"},
		{"no such cluster", "admin", api + "/clusters/nowhere/kubeconfig", good, http.StatusNotFound, `\"nowhere\" not found`},
		{"another name", "admin", path, strings.Replace(good, `"kind"`, `"metadata":{"name":"other"},"kind"`, 1), http.StatusBadRequest, "metadata.name"},
		{"empty", "admin", path, `{"kind":"ClusterKubeconfig","apiVersion":"management.loft.sh/v1"}`, http.StatusUnprocessableEntity, "spec.config"},
		{"would run a program", "admin", path, kubeconfigBody(t, "https://one", `{"exec": {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": "`+kubeconfigToken+`"}}`),
			http.StatusUnprocessableEntity, "exec plugin"},
		{"would go unencrypted", "admin", path, kubeconfigBody(t, "http://one", token), http.StatusUnprocessableEntity, "https"},
		{"only tried", "admin", path + "?dryRun=All", good, http.StatusCreated, "ClusterKubeconfig"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := ask(t, env.keys[tt.who], http.MethodPost, tt.path, tt.body)
			if a.code != tt.wantCode || !strings.Contains(a.raw, tt.wantText) || strings.Contains(a.raw, kubeconfigToken) {
				t.Errorf("code %d, want %d: %s", a.code, tt.wantCode, a.raw)
			}
		})
	}
	secrets := env.centralClient.CoreV1().Secrets("loft")
	if _, err := secrets.Get(t.Context(), "loft-cluster-"+name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a Secret was made all the same: %v", err)
	}
	for _, server := range []string{"https://one", "https://two"} {
		a := ask(t, env.keys["admin"], http.MethodPost, path, kubeconfigBody(t, server, token))
		if a.code != http.StatusCreated || a.at("metadata.name") != name || a.at("spec.config") != "" {
			t.Fatalf("code %d: %s", a.code, a.raw)
		}
		secret, err := secrets.Get(t.Context(), "loft-cluster-"+name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if kept := string(secret.Data["config"]); !strings.Contains(kept, server) || !strings.Contains(kept, kubeconfigToken) {
			t.Errorf("the Secret holds %q", kept)
		}
	}
	cluster, err := clusters.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if want := (storagev1.SecretRef{SecretName: "loft-cluster-" + name, SecretNamespace: "loft", Key: "config"}); cluster.Spec.Config != want {
		t.Errorf("the Cluster names %+v, want %+v", cluster.Spec.Config, want)
	}
	secret, err := secrets.Get(t.Context(), "loft-cluster-"+name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The garbage collector takes it away with the Cluster.
	if owners := secret.OwnerReferences; len(owners) != 1 || owners[0].Kind != "Cluster" || owners[0].UID != cluster.UID {
		t.Errorf("the Secret belongs to %+v, want the Cluster", owners)
	}
	if log, err := os.ReadFile(env.auditLog); err != nil || strings.Contains(string(log), kubeconfigToken) {
		t.Errorf("the audit log repeats the kubeconfig, or cannot be read: %v", err)
	}
}
