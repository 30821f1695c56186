package commandline

import (
	"context"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/test/journey"
)

// TestDoctor looks at a good endpoint, and at one that is another cluster's.
func TestDoctor(t *testing.T) {
	p := newPerson(t, "patient", journey.First, journey.Second)
	p.loft(t, 0, "use", "cluster", journey.First)
	for _, args := range [][]string{
		{"run", "web", "--image=registry.example.com/web"}, {"wait", "--for=condition=Ready", "pod/web", "--timeout=60s"},
	} {
		if out, err := p.command(t.Context(), trip.Kubectl(), args...).CombinedOutput(); err != nil {
			t.Fatalf("kubectl %q: %v\n%s", args, err, out)
		}
	}
	out := p.loft(t, 0, "doctor", "--cluster", journey.First, "--idle", "3s")
	for _, want := range []string{
		"permission: the cluster knows loft:user:patient", "websocket: a WebSocket is opened", "spdy: SPDY is opened",
		"idle: a silent connection stays open for 3s",
	} {
		if !strings.Contains(out, "ok       "+journey.First+" "+want) {
			t.Errorf("the doctor does not say %q:\n%s", want, out)
		}
	}
	second, err := shared.EndpointAnnotations(journey.Second)
	if err != nil {
		t.Fatal(err)
	}
	first, err := shared.EndpointAnnotations(journey.First)
	if err != nil {
		t.Fatal(err)
	}
	annotate(t, journey.First, second)
	defer annotate(t, journey.First, first)
	if out := p.loft(t, 1, "doctor", "--cluster", journey.First, "--idle", "0"); !strings.Contains(out, "cluster: another cluster is behind it") {
		t.Errorf("the doctor does not find another cluster:\n%s", out)
	}
	if out := p.loft(t, 0, "use", "cluster", journey.First); !strings.Contains(out, "another cluster is behind it") || !strings.Contains(out, "using the manager instead") {
		t.Errorf("the context leads to another cluster:\n%s", out)
	}
	if out, err := p.command(t.Context(), trip.Kubectl(), "get", "ns").CombinedOutput(); err != nil {
		t.Errorf("kubectl through the manager: %v\n%s", err, out)
	}
}

func annotate(t *testing.T, cluster string, annotations map[string]string) {
	t.Helper()
	found, err := shared.Storage().Clusters().Get(context.WithoutCancel(t.Context()), cluster, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range annotations {
		metav1.SetMetaDataAnnotation(&found.ObjectMeta, key, value)
	}
	if _, err := shared.Storage().Clusters().Update(context.WithoutCancel(t.Context()), found, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}
