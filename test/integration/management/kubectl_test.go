package management

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

func write(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "object.yaml")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestKubectlShowsClusters(t *testing.T) {
	addCluster(t, "shown", map[string]string{storagev1.AnnotationDirectEndpoint: "eu.example.com"})
	var lines []string
	await(t, "the manager has looked at the cluster", func() bool {
		lines = strings.Split(mustKubectl(t, "admin", "get", "clusters", "shown"), "\n")
		fields := strings.Fields(lines[1])
		return len(fields) > 3 && strings.Join(fields[:4], " ") == "shown eu.example.com False False"
	})
	if got := strings.Join(strings.Fields(lines[0]), " "); got != "NAME ENDPOINT REACHABLE CONNECTED AGENT AGE" {
		t.Errorf("columns %q", got)
	}
}

func TestKubectlExplains(t *testing.T) {
	out := mustKubectl(t, "alice", "explain", "clusters.spec.config")
	if !strings.Contains(out, "secretName") || !strings.Contains(out, "management.loft.sh") {
		t.Errorf("%s", out)
	}
}

func TestKubectlChanges(t *testing.T) {
	file := write(t, `{apiVersion: management.loft.sh/v1, kind: Cluster, metadata: {name: changed, labels: {a: b}}, spec: {displayName: One, config: {secretName: x}}}`)
	mustKubectl(t, "admin", "create", "-f", file)
	removed(t, func(ctx context.Context) error {
		return env.storage.StorageV1().Clusters().Delete(ctx, "changed", metav1.DeleteOptions{})
	})
	steps := []struct {
		name string
		args []string
		want string
	}{
		{"annotate", []string{"annotate", "cluster", "changed", "loft.sh/direct-cluster-endpoint=eu.example.com"}, `"loft.sh/direct-cluster-endpoint":"eu.example.com"`},
		{"annotate again", []string{"annotate", "--overwrite", "cluster", "changed", "loft.sh/direct-cluster-endpoint=us.example.com"}, `"loft.sh/direct-cluster-endpoint":"us.example.com"`},
		{"label", []string{"label", "cluster", "changed", "c=d"}, `"c":"d"`},
		{"merge patch", []string{"patch", "cluster", "changed", "--type=merge", "-p", `{"spec":{"displayName":"Two"}}`}, `"displayName":"Two"`},
		{"JSON patch", []string{"patch", "cluster", "changed", "--type=json", "-p", `[{"op":"replace","path":"/spec/displayName","value":"Three"}]`}, `"displayName":"Three"`},
		{"strategic merge patch", []string{"patch", "cluster", "changed", "-p", `{"spec":{"displayName":"Four"}}`}, `"displayName":"Four"`},
		{"apply", []string{"apply", "-f", file}, `"displayName":"One"`},
	}
	for _, step := range steps {
		mustKubectl(t, "admin", step.args...)
		if out := mustKubectl(t, "admin", "get", "cluster", "changed", "-o=jsonpath={.metadata}{.spec}"); !strings.Contains(out, step.want) {
			t.Errorf("%s: %s lacks %s", step.name, out, step.want)
		}
	}
	stored, err := env.storage.StorageV1().Clusters().Get(t.Context(), "changed", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var managers []string
	for _, entry := range stored.ManagedFields {
		if entry.APIVersion != storagev1.SchemeGroupVersion.String() {
			t.Errorf("fields of %q are of %s", entry.Manager, entry.APIVersion)
		}
		if !strings.HasPrefix(entry.Manager, "loft-manager") {
			managers = append(managers, entry.Manager)
		}
	}
	for _, want := range []string{"kubectl-annotate", "kubectl-label", "kubectl-client-side-apply"} {
		if !slices.Contains(managers, want) {
			t.Errorf("fields are managed by %q, which lacks %q", managers, want)
		}
	}
}

func TestKubectlAppliesOnTheServer(t *testing.T) {
	removed(t, func(ctx context.Context) error {
		return env.storage.StorageV1().Clusters().Delete(ctx, "applied", metav1.DeleteOptions{})
	})
	apply := func(spec string, flags ...string) (string, error) {
		return kubectl(t, "admin", append([]string{"apply", "--server-side", "-f",
			write(t, `{apiVersion: management.loft.sh/v1, kind: Cluster, metadata: {name: applied}, spec: {`+spec+`}}`)}, flags...)...)
	}
	shown := func() string {
		return mustKubectl(t, "admin", "get", "cluster", "applied", "-o=jsonpath={.spec.displayName}/{.spec.description}")
	}
	for _, step := range []struct{ spec, want string }{
		{"displayName: One, description: d", "One/d"},
		{"displayName: Two, description: d", "Two/d"},
		{"displayName: Two", "Two/"}, // what is applied no more is gone
	} {
		if out, err := apply(step.spec); err != nil {
			t.Fatalf("%s: %v\n%s", step.spec, err, out)
		}
		if got := shown(); got != step.want {
			t.Errorf("after %q: %q, want %q", step.spec, got, step.want)
		}
	}
	if out, err := apply("displayName: Other", "--field-manager=other"); err == nil || !strings.Contains(out, "conflict") {
		t.Errorf("another's field was taken: %v\n%s", err, out)
	}
	if out, err := apply("displayName: Other", "--field-manager=other", "--force-conflicts"); err != nil || shown() != "Other/" {
		t.Errorf("by force: %v, %s\n%s", err, shown(), out)
	}
	if out, err := apply(`displayName: Dry`, "--field-manager=other", "--dry-run=server"); err != nil || shown() != "Other/" {
		t.Errorf("dry run: %v, %s\n%s", err, shown(), out)
	}
}

func TestBadAnnotationsAreRefused(t *testing.T) {
	addCluster(t, "annotated", nil)
	for annotation, want := range map[string]string{
		"loft.sh/direct-cluster-endpoint=http://x":            "https",
		"loft.sh/direct-cluster-endpoint-ca-data=xyz":         "loft.sh/direct-cluster-endpoint-ca-data",
		"loft.sh/direct-cluster-endpoint-insecure=yes":        "loft.sh/direct-cluster-endpoint-insecure",
		"loft.sh/streaming-connection-idle-timeout=a-quarter": "number",
	} {
		if out, err := kubectl(t, "admin", "annotate", "cluster", "annotated", annotation); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v\n%s", annotation, err, out)
		}
	}
}

// What the schema of the custom resource refuses is refused in the words of the view.
func TestTheSchemasWords(t *testing.T) {
	out, err := kubectl(t, "admin", "create", "-f",
		write(t, `{apiVersion: management.loft.sh/v1, kind: Cluster, metadata: {name: bad}, spec: {config: {secretNamespace: x}}}`))
	if err == nil || !strings.Contains(out, "secretNamespace without secretName") || strings.Contains(out, "storage.loft.sh") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A conflict is found: nobody's write is lost.
func TestLostUpdatesAreRefused(t *testing.T) {
	addCluster(t, "contested", nil)
	file := write(t, mustKubectl(t, "admin", "get", "cluster", "contested", "-o", "yaml"))
	mustKubectl(t, "admin", "annotate", "cluster", "contested", "x=y")
	if out, err := kubectl(t, "admin", "replace", "-f", file); err == nil || !strings.Contains(out, "modified") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestKubectlWatches(t *testing.T) {
	addCluster(t, "watched", nil)
	args := []string{"--server=" + env.url + "/kubernetes/management", "--token=" + env.keys["admin"], "--kubeconfig=/dev/null",
		"--insecure-skip-tls-verify", "--cache-dir=" + t.TempDir(), "get", "clusters", "watched", "--watch", "-o=jsonpath={.metadata.annotations.n}{\"\\n\"}"}
	ctx, cancel := context.WithCancel(t.Context())
	command := exec.CommandContext(ctx, env.central.Binaries().Kubectl, args...)
	pipe, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = command.Wait() }()
	lines := bufio.NewScanner(pipe)
	before := "nothing yet"
	for _, want := range []string{"", "1", "2"} {
		// The manager writes the cluster's status, too, and each write is an event.
		for lines.Scan() && lines.Text() == before {
		}
		if before = lines.Text(); before != want {
			t.Fatalf("line %q, want %q", before, want)
		}
		next := map[string]string{"": "1", "1": "2", "2": "3"}[want]
		mustKubectl(t, "admin", "annotate", "--overwrite", "cluster", "watched", "n="+next)
	}
}

// TestAdministratorsManagePeople, and nobody else does.
func TestAdministratorsManagePeople(t *testing.T) {
	file := write(t, strings.Join([]string{
		`{apiVersion: management.loft.sh/v1, kind: User, metadata: {name: dave}, spec: {email: dave@example.com}}`,
		`{apiVersion: management.loft.sh/v1, kind: Team, metadata: {name: daves}, spec: {users: [dave]}}`,
		`{apiVersion: management.loft.sh/v1, kind: Cluster, metadata: {name: daves}}`,
	}, "\n---\n"))
	if out, err := kubectl(t, "alice", "create", "-f", file); err == nil || strings.Count(out, "forbidden") != 3 {
		t.Fatalf("%v\n%s", err, out)
	}
	mustKubectl(t, "admin", "create", "-f", file)
	await(t, "dave is in the team", func() bool {
		return mustKubectl(t, "admin", "get", "user", "dave", "-o=jsonpath={.spec.email} {.status.teams[*].name}") == "dave@example.com daves"
	})
	mustKubectl(t, "admin", "patch", "team", "daves", "--type=merge", "-p", `{"spec":{"users":[]}}`)
	await(t, "dave is in no team", func() bool {
		return mustKubectl(t, "admin", "get", "user", "dave", "-o=jsonpath={.status.teams[*].name}") == ""
	})
	// It waits until they are gone, and the cluster's finalizer with it.
	mustKubectl(t, "admin", "delete", "-f", file, "--timeout=60s")
	if out, err := kubectl(t, "admin", "get", "-f", file); err == nil || strings.Count(out, "NotFound") != 3 {
		t.Errorf("%v\n%s", err, out)
	}
}
