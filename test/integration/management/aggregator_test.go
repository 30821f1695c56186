package management

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	aggregator "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
	"k8s.io/utils/ptr"
)

// TestTheAggregatorsWay is that of the central cluster's own people, through its API server.
func TestTheAggregatorsWay(t *testing.T) {
	addCluster(t, "aggregated", nil)
	registerAPI(t)
	central := func(args ...string) (string, error) {
		command := exec.CommandContext(t.Context(), env.central.Binaries().Kubectl,
			append([]string{"--kubeconfig=" + env.central.AdminKubeconfig(), "--cache-dir=" + t.TempDir()}, args...)...)
		out, err := command.CombinedOutput()
		return string(out), err
	}
	await(t, "the API server serves the management API", func() bool {
		_, err := central("get", "clusters.management.loft.sh")
		return err == nil
	})
	if out, err := central("get", "clusters.management.loft.sh", "aggregated"); err != nil || !strings.Contains(out, "ENDPOINT") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := central("annotate", "clusters.management.loft.sh", "aggregated", "loft.sh/direct-cluster-endpoint=http://x"); err == nil {
		t.Errorf("a bad annotation was taken: %s", out)
	}
	out, err := central("create", "-o=jsonpath={.status.subject}{.status.user}", "-f",
		write(t, `{apiVersion: management.loft.sh/v1, kind: Self}`))
	if err != nil || !strings.HasSuffix(out, "kubernetes-admin") {
		t.Errorf("%v\n%s", err, out)
	}
	// Impersonated, the person is the same as by an access key.
	if out, err := central("get", "users.management.loft.sh", "--as=loft:user:bob", "--as-group=loft:authenticated", "-o=name"); err != nil ||
		strings.TrimSpace(out) != "user.management.loft.sh/bob" {
		t.Errorf("%v\n%s", err, out)
	}
	records, err := os.ReadFile(env.auditLog)
	if err != nil || !strings.Contains(string(records), `"username":"kubernetes-admin"`) {
		t.Errorf("the manager did not record who it was: %v", err)
	}
}

// registerAPI has the central cluster's API server pass the management API on to the manager.
func registerAPI(t *testing.T) {
	t.Helper()
	services := env.centralClient.CoreV1().Services("loft")
	if _, err := services.Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "loft-manager-apiservice"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost", Ports: []corev1.ServicePort{{Port: env.innerPort}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	removed(t, func(ctx context.Context) error {
		return services.Delete(ctx, "loft-manager-apiservice", metav1.DeleteOptions{})
	})
	client, err := aggregator.NewForConfig(env.central.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	apis := client.ApiregistrationV1().APIServices()
	if _, err := apis.Create(t.Context(), &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: "v1.management.loft.sh"},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: "management.loft.sh", Version: "v1", GroupPriorityMinimum: 1000, VersionPriority: 15, CABundle: env.innerCA,
			Service: &apiregistrationv1.ServiceReference{Namespace: "loft", Name: "loft-manager-apiservice", Port: ptr.To(env.innerPort)},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	removed(t, func(ctx context.Context) error {
		return apis.Delete(ctx, "v1.management.loft.sh", metav1.DeleteOptions{})
	})
}
