package central

import (
	"fmt"
	"net/http"
	"os/exec"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/test/e2e/kubectl"
)

const namespaces = "/api/v1/namespaces"

// TestTokenIsForItsClusters: what a token was made for is where it works.
func TestTokenIsForItsClusters(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "scoped", eu, us)
	for _, test := range []struct {
		name           string
		clusters       []string
		wantEU, wantUS int
	}{
		{"for the first", []string{eu}, http.StatusOK, http.StatusUnauthorized},
		{"for the second", []string{us}, http.StatusUnauthorized, http.StatusOK},
		{"for both", []string{eu, us}, http.StatusOK, http.StatusOK},
		{"for all that she may use", nil, http.StatusOK, http.StatusOK},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := p.token(t, test.clusters...)
			for cluster, want := range map[string]int{eu: test.wantEU, us: test.wantUS} {
				// Her rights in the clusters are new, and may be a moment away.
				await(t, patience, cluster, func() error { return endpoint(cluster, token, namespaces).wants(want) })
			}
		})
	}
}

// TestTokenForAForeignCluster: nobody gets a token for a cluster that is not theirs.
func TestTokenForAForeignCluster(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "stranger", eu)
	for _, cluster := range []string{us, "nowhere"} {
		a := p.manager(http.MethodPost, management+"/directclusterendpointtokens", fmt.Sprintf(
			`{"kind":"DirectClusterEndpointToken","apiVersion":"management.loft.sh/v1","spec":{"scope":{"clusters":[{"cluster":%q}]}}}`, cluster))
		if a.err != nil || a.code < 400 || a.code > 499 || a.field("kind") != "Status" || a.field("status", "token") != nil {
			t.Errorf("%s: %v %d %s", cluster, a.err, a.code, a.body)
		}
	}
	all := p.token(t)
	await(t, patience, eu, func() error { return endpoint(eu, all, namespaces).wants(http.StatusOK) })
	if err := endpoint(us, all, namespaces).wants(http.StatusOK); err == nil {
		t.Error("a token for all her clusters opens one that is not hers")
	}
}

// TestAccessTakenAway: without the ClusterAccess her next request is refused, within the promise.
func TestAccessTakenAway(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "leaving", eu)
	token := p.token(t, eu)
	given := await(t, patience, "access given", func() error { return endpoint(eu, token, namespaces).wants(http.StatusOK) })
	if err := shared.Storage().ClusterAccesses().Delete(t.Context(), p.name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	taken := await(t, promise, "access taken away", func() error { return endpoint(eu, token, namespaces).wants(http.StatusForbidden) })
	t.Logf("given after %s, refused with 403 %s after it was taken away", given.Round(time.Millisecond), taken.Round(time.Millisecond))
}

// TestKeyDeleted: without her key her next request is 401, and everything open ends, within the promise.
func TestKeyDeleted(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "revoked", eu)
	token := p.token(t, eu)
	await(t, patience, "access given", func() error { return endpoint(eu, token, namespaces).wants(http.StatusOK) })
	s := shared.Connected(eu)
	k := kubectl.New(t, way(t, eu, s.ClientConfig(token), authenticationv1.UserInfo{}))
	streams := &kubectl.Streams{User: k, WebSockets: "true", Silence: time.Minute}
	streams.RunPod(t)

	watch, err := openStream(s.EndpointCA(), token, s.EndpointURL()+"/kubernetes/cluster"+namespaces+"?watch=true")
	if err != nil {
		t.Fatal(err)
	}
	commands := map[string]*running{
		"exec":    startCommand(t, streams.Stream(t, "exec", kubectl.StreamPod, "--", "sh", "-c", "echo ready; sleep 600"), "^ready$"),
		"logs -f": startCommand(t, streams.Stream(t, "logs", "-f", kubectl.StreamPod), "^hello"),
		"watch":   startCommand(t, k.Command(t, "get", "configmaps", "--watch", "-o", "name"), "^configmap/"),
	}
	began := time.Now()
	if err := shared.Storage().AccessKeys().Delete(t.Context(), p.name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	refusal := await(t, promise, "token refused", func() error { return endpoint(eu, token, namespaces).wants(http.StatusUnauthorized) })
	t.Logf("token refused after %s", refusal.Round(time.Millisecond))
	await(t, promise, "key refused", func() error {
		return p.manager(http.MethodGet, management+"/clusters", "").wants(http.StatusUnauthorized)
	})
	within(t, "open watch", began, watch.ended)
	for name, command := range commands {
		within(t, "kubectl "+name, began, command.ended)
	}
}

// within fails unless ended is closed within the promise from began on.
func within(t *testing.T, what string, began time.Time, ended <-chan struct{}) {
	t.Helper()
	timer := time.NewTimer(time.Until(began.Add(promise)))
	defer timer.Stop()
	select {
	case <-ended:
		t.Logf("%s ended by %s", what, time.Since(began).Round(time.Millisecond))
	case <-timer.C:
		t.Errorf("%s is open %s later", what, promise)
	}
}

// running is a command that ends when what it has open does.
type running struct{ ended chan struct{} }

// startCommand waits for a line of the command.
func startCommand(t *testing.T, cmd *exec.Cmd, line string) *running {
	t.Helper()
	l := kubectl.Start(t, cmd)
	l.Until(t, line)
	r := &running{ended: make(chan struct{})}
	go func() {
		l.Drain()
		close(r.ended)
	}()
	return r
}
