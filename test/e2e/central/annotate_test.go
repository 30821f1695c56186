package central

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/test/controlplane"
	"loft.sh/agent/test/e2e/kubectl"
	installation "loft.sh/agent/test/sandbox/central"
)

// managementConfig is a kubeconfig for the management API, with an access key as the token.
func managementConfig(t *testing.T, key string) string {
	t.Helper()
	return kubeconfig(t, shared.URL()+"/kubernetes/management", shared.CAFile(), key)
}

// TestAnnotate turns the endpoint of a cluster on as its administrator does, and sees what the manager
// says of those that cannot work.
func TestAnnotate(t *testing.T) {
	config := managementConfig(t, shared.Key(installation.Admin))
	restoreEndpoint(t, us)
	t.Run("columns", func(t *testing.T) { testColumns(t, config) })
	t.Run("explain", func(t *testing.T) { testExplain(t, config) })
	t.Run("watch", func(t *testing.T) { testWatch(t, config) })
	t.Run("refused", func(t *testing.T) { testAnnotationsRefused(t, config) })
	t.Run("reasons", func(t *testing.T) { testReasons(t, config) })
}

// restoreEndpoint puts the right annotations back at the end, and waits until the manager is content.
func restoreEndpoint(t *testing.T, cluster string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	annotations, err := shared.EndpointAnnotations(cluster)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := shared.Storage().Clusters().Patch(ctx, cluster, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
		if err := shared.AwaitConditions(ctx, cluster, storagev1.ConditionDirectEndpointReachable); err != nil {
			t.Error(err)
		}
	})
}

func testColumns(t *testing.T, config string) {
	out := printed(t, config, "get", "clusters")
	t.Logf("kubectl get clusters:\n%s", out)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want a header and two clusters", len(lines))
	}
	for _, column := range []string{"NAME", "ENDPOINT", "REACHABLE", "AGENT", "AGE"} {
		if !strings.Contains(lines[0], column) {
			t.Errorf("no column %s", column)
		}
	}
	for _, want := range []string{us, shared.Connected(us).EndpointURL(), "True", "v3.0.0-sandbox"} {
		if !strings.Contains(lines[2], want) {
			t.Errorf("%q is not in the line of %s", want, us)
		}
	}
}

func testExplain(t *testing.T, config string) {
	out := printed(t, config, "explain", "clusters.spec.config", "--api-version=management.loft.sh/v1")
	for _, want := range []string{"GROUP:      management.loft.sh", "secretName"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
}

func testWatch(t *testing.T, config string) {
	watch := kubectl.Start(t, kubectlWith(t, config, "get", "clusters", us, "--watch", "--output-watch-events",
		`-o=jsonpath={.type} {.object.metadata.name} {.object.metadata.annotations.example\.com/seen}{"\n"}`))
	watch.Until(t, "^ADDED "+us+" ")
	printed(t, config, "annotate", "cluster", us, "example.com/seen=yes")
	watch.Until(t, "^MODIFIED "+us+" yes$")
	printed(t, config, "annotate", "cluster", us, "example.com/seen-")
	watch.Until(t, "^MODIFIED "+us+" $")
}

// annotate returns the arguments that set the endpoint of us; empty values take annotations away.
func annotate(host, caData, insecure string) []string {
	args := []string{"annotate", "cluster", us, "--overwrite"}
	for key, value := range map[string]string{
		storagev1.AnnotationDirectEndpoint: host, storagev1.AnnotationDirectEndpointCAData: caData,
		storagev1.AnnotationDirectEndpointInsecure: insecure,
	} {
		if value == "" {
			args = append(args, key+"-")
		} else {
			args = append(args, key+"="+value)
		}
	}
	return args
}

func testAnnotationsRefused(t *testing.T, config string) {
	good := base64.StdEncoding.EncodeToString(mustRead(t, shared.Connected(us).EndpointCA()))
	before := printed(t, config, "get", "cluster", us, "-o", "jsonpath={.metadata.annotations}")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"http":               {annotate("http://eu.example.com", "", ""), storagev1.AnnotationDirectEndpoint},
		"no URL":             {annotate("https://", "", ""), storagev1.AnnotationDirectEndpoint},
		"path":               {annotate("eu.example.com/with/a/path", "", ""), storagev1.AnnotationDirectEndpoint},
		"no base64":          {annotate("eu.example.com", "%%%", ""), storagev1.AnnotationDirectEndpointCAData},
		"no certificate":     {annotate("eu.example.com", "aGVsbG8=", ""), storagev1.AnnotationDirectEndpointCAData},
		"insecure with a CA": {annotate("eu.example.com", good, "true"), storagev1.AnnotationDirectEndpointInsecure},
	} {
		t.Run(name, func(t *testing.T) {
			if got := refused(t, config, test.args...); !strings.Contains(got, test.want) {
				t.Errorf("%q does not name %s", got, test.want)
			} else {
				t.Log(strings.TrimSpace(got))
			}
		})
	}
	same(t, "annotations", before, printed(t, config, "get", "cluster", us, "-o", "jsonpath={.metadata.annotations}"))
}

// testReasons: each fault has a reason of its own.
func testReasons(t *testing.T, config string) {
	other, err := controlplane.NewCA("other")
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.StdEncoding.EncodeToString
	right := encode(mustRead(t, shared.Connected(us).EndpointCA()))
	reasons := map[string]string{}
	for _, test := range []struct{ name, host, caData string }{
		{"wrong CA", shared.Connected(us).EndpointURL(), encode(other.CertPEM())},
		{"another cluster", shared.Connected(eu).EndpointURL(), encode(mustRead(t, shared.Connected(eu).EndpointCA()))},
		{"dead host", "https://" + deadAddress(t), right},
	} {
		printed(t, config, annotate(test.host, test.caData, "")...)
		var condition metav1.Condition
		took := await(t, patience, test.name, func() error {
			var err error
			condition, err = reachable(t.Context(), us, test.host)
			if err == nil && condition.Status != metav1.ConditionFalse {
				err = fmt.Errorf("condition %+v", condition)
			}
			return err
		})
		t.Logf("%s after %s: %s: %s", test.name, took.Round(1e6), condition.Reason, condition.Message)
		if earlier, found := reasons[condition.Reason]; found {
			t.Errorf("%s and %s have the same reason %s", test.name, earlier, condition.Reason)
		}
		reasons[condition.Reason] = test.name
	}
	if out := printed(t, config, "get", "cluster", us); !strings.Contains(out, "False") {
		t.Errorf("the table does not say that the endpoint is not reachable:\n%s", out)
	}
}

// reachable is the condition of an endpoint, once the manager has asked it.
func reachable(ctx context.Context, cluster, host string) (metav1.Condition, error) {
	found, err := shared.Storage().Clusters().Get(ctx, cluster, metav1.GetOptions{})
	if err != nil {
		return metav1.Condition{}, err
	}
	if found.Status.Endpoint == nil || found.Status.Endpoint.URL != host {
		return metav1.Condition{}, fmt.Errorf("the manager has not asked %s: %+v", host, found.Status.Endpoint)
	}
	condition := meta.FindStatusCondition(found.Status.Conditions, storagev1.ConditionDirectEndpointReachable)
	if condition == nil {
		return metav1.Condition{}, fmt.Errorf("no condition %s", storagev1.ConditionDirectEndpointReachable)
	}
	return *condition, nil
}

// deadAddress is where nobody listens.
func deadAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
