package clusters

import (
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/bindings"
	"loft.sh/agent/test/fakehost"
)

const (
	many = 1000
	// dead of them accept connections and never answer, which is the dearest way to be dead.
	dead = 50
	// promise is how soon a change reaches those that live.
	promise = 10 * time.Second
)

// TestTheDeadHoldUpNobodyAmongAThousand changes trust and access for a thousand clusters, while fifty of
// them are dead.
func TestTheDeadHoldUpNobodyAmongAThousand(t *testing.T) {
	options := slowly()
	// Fewer workers than dead: they would hold up all others if they could.
	options.Workers, options.RequestTimeout = 40, 6*time.Second
	w := newWorld(t, options, user("alice", false))
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.server.Certificate().Raw})
	var alive []*fakehost.Host
	for i := range many {
		name := fmt.Sprintf("c%03d", i)
		host, cluster := w.add(t, name)
		// What an install costs is not what is measured.
		cluster.Annotations = map[string]string{storagev1.AnnotationIgnoreAgent: "true"}
		host.Set("/api/v1/namespaces/loft", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "loft"}})
		if i%(many/dead) == 0 {
			w.setSecret(t, name, fakehost.Kubeconfig("https://"+silent.Addr().String(), ca))
		} else {
			alive = append(alive, host)
		}
		w.create(t, cluster)
	}
	measure := func(what string, bound time.Duration, reached func(*fakehost.Host) bool) {
		t.Helper()
		begun := time.Now()
		waiting := slices.Clone(alive)
		patiently(t, what, func() bool {
			waiting = slices.DeleteFunc(waiting, reached)
			return len(waiting) == 0
		})
		took := time.Since(begun)
		t.Logf("%s: %s", what, took.Round(10*time.Millisecond))
		if took > bound {
			t.Errorf("%s took %s, more than %s", what, took, bound)
		}
	}
	w.run(t)
	// Whoever begins has to find out first who is dead; the living have everything meanwhile.
	measure("the first bundle", 2*time.Minute, func(h *fakehost.Host) bool { return bundleIn(h) != "" })
	settled := func(kind string) func() bool {
		return func() bool {
			known := 0
			for _, cluster := range w.controller.clusters() {
				if meta.FindStatusCondition(cluster.Status.Conditions, kind) != nil {
					known++
				}
			}
			return known == many
		}
	}
	for _, kind := range []string{storagev1.ConditionConnected, storagev1.ConditionTrustBundleSynced, storagev1.ConditionAccessSynced} {
		patiently(t, "every cluster's condition "+kind, settled(kind))
	}
	version := w.bundles.change()
	measure("a changed bundle", promise, func(h *fakehost.Host) bool { return strings.Contains(bundleIn(h), version) })
	access := viewers(1, "alice")
	access.Spec.Clusters = []string{storagev1.Everything}
	if _, err := w.central.StorageV1().ClusterAccesses().Create(t.Context(), access, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := rolesPath + bindings.Wanted("c001", []*storagev1.ClusterAccess{access}, people{w.controller})[1].Name
	measure("an access", promise, func(h *fakehost.Host) bool { return h.Object(binding) != nil })
	found := 0
	for _, cluster := range w.controller.clusters() {
		if clusterIsDead(cluster) {
			found++
		}
	}
	if found != dead {
		t.Errorf("%d clusters are known to be dead, want %d", found, dead)
	}
}

// patiently waits without taking the time of what it waits for.
func patiently(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 250*time.Millisecond, 2*time.Minute, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
