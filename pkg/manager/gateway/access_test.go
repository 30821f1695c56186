package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	storagev1 "loft.sh/agent/apis/storage/v1"
)

func TestRefusals(t *testing.T) {
	w := newWorld(t, agent(func(http.ResponseWriter, *http.Request) { t.Error("forwarded") }))
	const pods = "/api/v1/namespaces/team-b/pods"
	for _, tc := range []struct {
		name, key, method, path string
		wantCode                int
		wantWords               string
	}{
		{"stranger", "x", http.MethodGet, "/kubernetes/cluster/eu/api", http.StatusUnauthorized, "Unauthorized"},
		{"no key", "", http.MethodGet, "/kubernetes/cluster/eu/api", http.StatusUnauthorized, "Unauthorized"},
		{"cluster of others", "alice-key", http.MethodGet, "/kubernetes/cluster/us/api", http.StatusForbidden, mayNotUse("us")},
		{"cluster that does not exist", "alice-key", http.MethodGet, "/kubernetes/cluster/none/api", http.StatusForbidden, mayNotUse("none")},
		{"cluster that does not exist, with access to it", "alice-key", http.MethodGet, "/kubernetes/cluster/ghost/api", http.StatusForbidden, mayNotUse("ghost")},
		{"cluster that does not exist, administrator", "admin-key", http.MethodGet, "/kubernetes/cluster/none/api", http.StatusForbidden, mayNotUse("none")},
		{"a user's cluster by the key of the team", "team-key", http.MethodGet, "/kubernetes/cluster/eu/api", http.StatusForbidden, mayNotUse("eu")},
		{"virtual cluster in a cluster of others", "alice-key", http.MethodGet, "/kubernetes/virtualcluster/us/a/b/api", http.StatusForbidden, mayNotUse("us")},
		{"management API, cluster of others", "alice-key", http.MethodGet, "/apis/management.loft.sh/v1/clusters/us/proxy/api", http.StatusForbidden, mayNotUse("us")},
		{"permission cannot be checked", "unlucky-key", http.MethodGet, "/kubernetes/cluster/eu/api", http.StatusServiceUnavailable, "cannot be checked"},
		{"service account of the central cluster", "central", http.MethodGet, "/kubernetes/cluster/eu/api", http.StatusForbidden, "no user or team"},
		{"system:masters of the central cluster", "masters", http.MethodGet, "/kubernetes/cluster/eu/api", http.StatusForbidden, "system:masters"},
		{"read-only key creates", "reader", http.MethodPost, "/kubernetes/cluster/eu" + pods, http.StatusForbidden, "the access key is read-only"},
		{"read-only key execs by GET", "reader", http.MethodGet, "/kubernetes/cluster/eu" + pods + "/p/exec", http.StatusForbidden, "the access key is read-only"},
		{"read-only key goes through the agent's own door", "reader", http.MethodGet, "/kubernetes/cluster/eu" + agentPath + pods, http.StatusForbidden, "read-only"},
		{"key of a space, another space", "team-a", http.MethodGet, "/kubernetes/cluster/eu" + pods, http.StatusForbidden, "team-a"},
		{"key of a space, the agent's own door", "team-a", http.MethodGet, "/kubernetes/cluster/eu" + agentPath + pods, http.StatusForbidden, "team-a"},
		{"key of a space, another cluster", "team-a", http.MethodGet, "/kubernetes/cluster/down/api/v1/namespaces/team-a/pods", http.StatusForbidden, mayNotUse("down")},
		{"key of a virtual cluster, the host", "dev", http.MethodGet, "/kubernetes/cluster/eu/api/v1/namespaces/team-a/pods", http.StatusForbidden, "virtual clusters"},
		{"key of a virtual cluster, another", "dev", http.MethodGet, "/kubernetes/virtualcluster/eu/team-a/prod/api", http.StatusForbidden, "for others"},
		{"no Secret", "alice-key", http.MethodGet, "/kubernetes/cluster/broken/api", http.StatusServiceUnavailable, `cluster "broken": SecretNotFound`},
		{"no API server", "alice-key", http.MethodGet, "/kubernetes/cluster/down/api", http.StatusServiceUnavailable,
			`the API server of cluster "down" cannot be reached: there is no connection`},
		{"no API server for a watch", "alice-key", http.MethodGet, "/kubernetes/cluster/down/api/v1/pods?watch=true", http.StatusServiceUnavailable, `cluster "down"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res := w.send(t, tc.key, tc.method, tc.path, func(r *http.Request) {
				if strings.HasSuffix(tc.path, "exec") {
					r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
				}
			})
			s := status(t, res)
			if res.StatusCode != tc.wantCode || int(s.Code) != tc.wantCode || !strings.Contains(s.Message, tc.wantWords) {
				t.Errorf("%d %q, want %d %q", res.StatusCode, s.Message, tc.wantCode, tc.wantWords)
			}
			if retry := res.Header.Get("Retry-After"); (retry != "") != (tc.wantCode == http.StatusServiceUnavailable) {
				t.Errorf("Retry-After %q", retry)
			}
		})
	}
}

// watching is an API server whose every answer goes on until its client leaves.
func watching(entered chan<- struct{}) http.HandlerFunc {
	return agent(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1"}}`+"\n")
		_ = http.NewResponseController(w).Flush()
		if entered != nil {
			entered <- struct{}{}
		}
		<-r.Context().Done()
	})
}

// endings are what ends a watch.
var endings = []struct {
	name, key string
	do        func(context.Context, *world) error
	wantCode  int32
	wantWords string
}{
	{"key deleted", "alice-key", func(ctx context.Context, w *world) error {
		return w.storage.AccessKeys().Delete(ctx, "alice-key", metav1.DeleteOptions{})
	}, http.StatusUnauthorized, "or is gone"},
	{"key disabled", "alice-key", func(ctx context.Context, w *world) error {
		disabled := key("alice-key", storagev1.AccessKeySpec{User: "alice", Disabled: true})
		disabled.Generation++
		_, err := w.storage.AccessKeys().Update(ctx, disabled, metav1.UpdateOptions{})
		return err
	}, http.StatusUnauthorized, "disabled"},
	{"user disabled", "alice-key", func(ctx context.Context, w *world) error {
		user := &storagev1.User{ObjectMeta: named("alice"), Spec: storagev1.UserSpec{Disabled: true}}
		user.Generation++
		_, err := w.storage.Users().Update(ctx, user, metav1.UpdateOptions{})
		return err
	}, http.StatusUnauthorized, "disabled"},
	{"user deleted", "alice-key", func(ctx context.Context, w *world) error {
		return w.storage.Users().Delete(ctx, "alice", metav1.DeleteOptions{})
	}, http.StatusUnauthorized, "gone"},
	{"access taken away", "alice-key", func(ctx context.Context, w *world) error {
		return w.storage.ClusterAccesses().Delete(ctx, "alice", metav1.DeleteOptions{})
	}, http.StatusForbidden, `cannot use cluster "eu"`},
	{"out of the team", "alice-key", func(ctx context.Context, w *world) error {
		team := &storagev1.Team{ObjectMeta: named("core")}
		team.Generation++
		_, err := w.storage.Teams().Update(ctx, team, metav1.UpdateOptions{})
		return err
	}, http.StatusUnauthorized, "teams"},
	{"scope narrowed", "alice-key", func(ctx context.Context, w *world) error {
		narrowed := key("alice-key", storagev1.AccessKeySpec{User: "alice", Scope: &storagev1.AccessScope{
			Spaces: []storagev1.AccessScopeSpace{{Cluster: "eu", Space: "team-a"}},
		}})
		narrowed.Generation++
		_, err := w.storage.AccessKeys().Update(ctx, narrowed, metav1.UpdateOptions{})
		return err
	}, http.StatusForbidden, "team-a"},
	{"cluster deleted", "alice-key", func(ctx context.Context, w *world) error {
		return w.storage.Clusters().Delete(ctx, "eu", metav1.DeleteOptions{})
	}, http.StatusForbidden, "does not exist"},
	{"the central cluster's RBAC says no", "admin-key", func(_ context.Context, w *world) error {
		close(w.refusesAdmins)
		return nil
	}, http.StatusForbidden, `cannot use cluster "eu"`},
}

func TestOpenWatchEndsWithTheAccessOfItsPerson(t *testing.T) {
	const watch = "/kubernetes/cluster/eu/api/v1/pods?watch=true"
	for _, tc := range endings {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, watching(nil))
			res := w.send(t, tc.key, http.MethodGet, watch)
			lines := bufio.NewReader(res.Body)
			if _, err := lines.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := tc.do(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			last, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if _, err := lines.ReadString('\n'); err != io.EOF {
				t.Errorf("after the last event: %v, want the end", err)
			}
			if took := time.Since(began); took > patience {
				t.Errorf("took %s", took)
			}
			if !strings.Contains(last, `"type":"ERROR"`) || !strings.Contains(last, fmt.Sprintf(`"code":%d`, tc.wantCode)) || !strings.Contains(last, strings.ReplaceAll(tc.wantWords, `"`, `\"`)) {
				t.Errorf("last event %s, want an error with %q", last, tc.wantWords)
			}
			if tc.wantWords == "teams" {
				return // may watch again, as who they are now
			}
			if res := w.send(t, tc.key, http.MethodGet, watch); res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusForbidden {
				t.Errorf("the next watch is answered with %d", res.StatusCode)
			}
		})
	}
}

func TestOpenWatchOfOthersGoesOn(t *testing.T) {
	w := newWorld(t, watching(nil))
	res := w.send(t, "admin-key", http.MethodGet, "/kubernetes/cluster/eu/api/v1/pods?watch=true")
	lines := bufio.NewReader(res.Body)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	changed := w.gateway.keeper.Changed()
	if err := w.storage.AccessKeys().Delete(t.Context(), "alice-key", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	<-changed
	// Asked about again, and whatever its answer was would have been told by then.
	<-w.gateway.keeper.Changed()
	ended := make(chan error, 1)
	go func() { _, err := lines.ReadString('\n'); ended <- err }()
	select {
	case err := <-ended:
		t.Errorf("ended: %v", err)
	default:
	}
}

func TestRBACIsNotAskedForEachRequest(t *testing.T) {
	w := newWorld(t, agent(func(http.ResponseWriter, *http.Request) {}))
	// Whatever asks in the background has asked.
	<-w.gateway.keeper.Changed()
	before := w.asked.Load()
	for range 50 {
		_, _ = io.Copy(io.Discard, w.send(t, "admin-key", http.MethodGet, "/kubernetes/cluster/eu/api").Body)
	}
	// Verdicts are made anew every few seconds, and the requests may come to lie in two such times.
	if asked := w.asked.Load() - before; asked < 1 || asked > 2 {
		t.Errorf("asked %d times for 50 requests, want once", asked)
	}
}

func TestStreamStaysWhilePermissionsCannotBeAsked(t *testing.T) {
	w := newWorld(t, agent(func(http.ResponseWriter, *http.Request) {}))
	u, err := w.policy.User("unlucky")
	if err != nil {
		t.Fatal(err)
	}
	k, err := w.policy.AccessKey("unlucky-key")
	if err != nil {
		t.Fatal(err)
	}
	caller, target := callerOf(w.policy.UserInfo(u, k)), targetAt(t, w, "/kubernetes/cluster/eu/api")
	if end := w.gateway.keeper.Still(caller, target); end != nil {
		t.Errorf("ended: %v", end)
	}
	if err := w.gateway.keeper.Permit(request(t), caller, target); err == nil {
		t.Error("a new request was permitted")
	}
}
