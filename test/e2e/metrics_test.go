package e2e

import (
	"crypto/tls"
	"net/http"
	"os"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"loft.sh/agent/artifacts"
	"loft.sh/agent/test/controlplane"
)

// metricsFolder holds what people apply to have the agent scraped.
const metricsFolder = "../../artifacts/monitoring"

// scraper applies the role that is shipped and binds it to a user.
func scraper(t *testing.T, user string) {
	t.Helper()
	objects, err := artifacts.ReadObjects(os.DirFS(metricsFolder), "metrics-reader.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var role rbacv1.ClusterRole
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(objects[0].Object, &role); err != nil {
		t.Fatal(err)
	}
	admin := client(t, shared.Cluster().RESTConfig())
	if _, err := admin.RbacV1().ClusterRoles().Create(t.Context(), &role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// certificateOf is a client certificate of the host cluster.
func certificateOf(t *testing.T, user string) tls.Certificate {
	t.Helper()
	config, err := shared.Cluster().UserConfig(user)
	if err != nil {
		t.Fatal(err)
	}
	return keyPair(t, controlplane.KeyPair{Cert: config.CertData, Key: config.KeyData})
}

func TestMetricsAreForThoseWhoMayReadThem(t *testing.T) {
	scraper(t, "prometheus")
	token := sign(t, person("metrics"))
	https := rawPorts(t)[0]
	if answer := https.send(t, http.MethodGet, clusterPath+"/version", "", bearer(token)); answer.code != http.StatusOK {
		t.Fatalf("answer %d %s", answer.code, answer.body)
	}
	inner := func(certificate tls.Certificate, lines ...string) rawAnswer {
		return newRawPort(t, "inner", shared.InnerURL(), certificate).send(t, http.MethodGet, "/metrics", "", lines...)
	}
	t.Run("strangers", func(t *testing.T) {
		inner(tls.Certificate{}).wantStatus(t, http.StatusForbidden, metav1.StatusReasonForbidden, "/metrics")
	})
	t.Run("without the right", func(t *testing.T) {
		inner(certificateOf(t, "somebody")).wantStatus(t, http.StatusForbidden, metav1.StatusReasonForbidden, "/metrics")
	})
	t.Run("with a direct endpoint token", func(t *testing.T) {
		inner(tls.Certificate{}, bearer(token)).wantStatus(t, http.StatusUnauthorized, metav1.StatusReasonUnauthorized)
	})
	t.Run("with the role that is shipped", func(t *testing.T) {
		answer := inner(certificateOf(t, "prometheus"))
		if answer.code != http.StatusOK {
			t.Fatalf("answer %d %s", answer.code, answer.body)
		}
		for _, want := range []string{
			`loft_agent_requests_total{code="200",door="direct",group="",resource="",subresource="",verb="get"}`,
			`loft_agent_request_duration_seconds_bucket{door="direct",verb="get",le="+Inf"}`,
			`loft_agent_token_verifications_total{result="verified"}`,
			`loft_agent_upstream_errors_total{kind="dial"} `,
			"loft_agent_trust_bundle_loaded_timestamp_seconds ", "loft_agent_trust_bundle_keys ",
			`loft_agent_serving_certificate_expiration_timestamp_seconds{listener="direct"}`,
			"apiserver_audit_event_total ", "apiserver_audit_requests_rejected_total ", "kubernetes_build_info{", "process_resident_memory_bytes ",
		} {
			if !strings.Contains(string(answer.body), want) {
				t.Errorf("no %s", want)
			}
		}
	})
	for _, p := range rawPorts(t) {
		t.Run("not at the outer port for "+p.name, func(t *testing.T) {
			p.send(t, http.MethodGet, "/metrics", "", bearer(token)).wantStatus(t, http.StatusNotFound, metav1.StatusReasonNotFound)
		})
	}
}
