package hosts

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/connection"
	"loft.sh/agent/pkg/manager/netfault"
	"loft.sh/agent/test/fakehost"
)

// world is Clusters that lead to fakes of the same names.
type world struct {
	server   *fakehost.Server
	clusters []*storagev1.Cluster
	secrets  map[string][]byte
	versions map[string]string
	hosts    *Hosts
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{server: fakehost.Start(), secrets: map[string][]byte{}, versions: map[string]string{}}
	t.Cleanup(w.server.Close)
	connections := connection.New(func(_ context.Context, _, name string) (*corev1.Secret, error) {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{ResourceVersion: w.versions[name]}, Data: map[string][]byte{"config": w.secrets[name]}}, nil
	}, "loft")
	w.hosts = New(connections, func() []*storagev1.Cluster { return w.clusters }, 5*time.Second, clock.RealClock{})
	return w
}

func (w *world) add(name, hostUID string) *storagev1.Cluster {
	w.server.Add(name, hostUID)
	w.secrets[name] = w.server.Kubeconfig(name)
	cluster := &storagev1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.Unix(int64(len(w.clusters)), 0)},
		Spec:       storagev1.ClusterSpec{Config: storagev1.SecretRef{SecretName: name}},
	}
	w.clusters = append(w.clusters, cluster)
	return cluster
}

func reason(err error) string {
	var hostError *Error
	if errors.As(err, &hostError) {
		return hostError.Reason
	}
	return ""
}

func TestReach(t *testing.T) {
	w := newWorld(t)
	cluster := w.add("eu", "uid-eu")
	host, err := w.hosts.Reach(t.Context(), cluster, 0)
	if err != nil {
		t.Fatal(err)
	}
	if host.UID != "uid-eu" || host.Version != "v1.37.2" {
		t.Errorf("UID %q, version %q", host.UID, host.Version)
	}
	if again, err := w.hosts.Reach(t.Context(), cluster, time.Hour); err != nil || again != host {
		t.Errorf("checked again within its age: %v", err)
	}
	if again, err := w.hosts.Reach(t.Context(), cluster, 0); err != nil || again == host {
		t.Errorf("not checked again: %v", err)
	}
	w.versions["eu"], w.secrets["eu"] = "2", []byte("{")
	if _, err := w.hosts.Reach(t.Context(), cluster, time.Hour); reason(err) != connection.ReasonKubeconfigInvalid {
		t.Errorf("error %v of a Secret that was broken since", err)
	}
}

func TestNoHost(t *testing.T) {
	answer := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	const system, version = "/api/v1/namespaces/kube-system", "/version"
	for _, tt := range []struct {
		name, path string
		answer     http.HandlerFunc
		want       string
	}{
		{"credential refused", system, answer(401, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401}`), "Unauthorized"},
		{"no rights", system, answer(403, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`), "Forbidden"},
		{"no API server", system, answer(404, `hello`), "NotFound"},
		{"no UID", system, answer(200, `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"kube-system"}}`), "UnexpectedAnswer"},
		{"no version", version, answer(200, `{}`), "UnexpectedAnswer"},
		{"version is HTML", version, answer(200, `<html>`), "UnexpectedAnswer"},
		{"closes", system, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, netfault.Unreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			cluster := w.add("eu", "uid-eu")
			w.server.Add("eu", "uid-eu").Answer(http.MethodGet, tt.path, tt.answer)
			_, err := w.hosts.Reach(t.Context(), cluster, 0)
			if got := reason(err); got != tt.want {
				t.Errorf("error %q (%v), want %q", got, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "t0p-secret") {
				t.Errorf("the credential is in the message: %v", err)
			}
		})
	}
}

func TestAnotherClusterBehindTheSameAddress(t *testing.T) {
	w := newWorld(t)
	cluster := w.add("eu", "uid-eu")
	cluster.Status.ClusterUID = "uid-us"
	_, err := w.hosts.Reach(t.Context(), cluster, 0)
	if got := reason(err); got != ReasonAnotherCluster {
		t.Errorf("error %q (%v)", got, err)
	}
}

func TestTwoClustersOfOneUID(t *testing.T) {
	for _, tt := range []struct {
		name             string
		recorded         []string
		order            []int
		wantFirst, wantB string
	}{
		{name: "the first one has it", order: []int{0, 1}, wantB: ReasonDuplicate},
		{name: "whoever comes first where nothing is recorded", order: []int{1, 0}, wantFirst: ReasonDuplicate},
		{name: "the recorded one", recorded: []string{"", "uid"}, order: []int{0, 1}, wantFirst: ReasonDuplicate},
		{name: "the older of two that are recorded", recorded: []string{"uid", "uid"}, order: []int{1, 0}, wantB: ReasonDuplicate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			clusters := []*storagev1.Cluster{w.add("a", "uid"), w.add("b", "uid")}
			for i, uid := range tt.recorded {
				clusters[i].Status.ClusterUID = uid
			}
			got := make([]string, 2)
			for _, i := range tt.order {
				_, err := w.hosts.Reach(t.Context(), clusters[i], 0)
				got[i] = reason(err)
			}
			if got[0] != tt.wantFirst || got[1] != tt.wantB {
				t.Errorf("reasons %q, want %q and %q", got, tt.wantFirst, tt.wantB)
			}
		})
	}
}

func TestClaimEndsWithItsCluster(t *testing.T) {
	w := newWorld(t)
	first, second := w.add("a", "uid"), w.add("b", "uid")
	if _, err := w.hosts.Reach(t.Context(), first, 0); err != nil {
		t.Fatal(err)
	}
	w.hosts.Forget(first)
	if _, err := w.hosts.Reach(t.Context(), second, 0); err != nil {
		t.Errorf("the claim of a forgotten Cluster is in the way: %v", err)
	}
}

func TestDeadCluster(t *testing.T) {
	w := newWorld(t)
	cluster := w.add("eu", "uid-eu")
	w.server.Close()
	_, err := w.hosts.Reach(t.Context(), cluster, 0)
	if got := reason(err); got != netfault.ConnectionRefused {
		t.Errorf("error %q (%v)", got, err)
	}
}
