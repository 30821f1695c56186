package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/rest"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/e2e/kubectl"
)

// alice is whom the cluster's API server must see.
var alice = authenticationv1.UserInfo{
	Username: accesstoken.PersonName("alice"), UID: "uid-of-a-user", Groups: accesstoken.PersonGroups("alice"),
}

func newKubectl(t *testing.T, config *rest.Config) *kubectl.User {
	t.Helper()
	c := shared.Cluster()
	return kubectl.New(t, kubectl.Way{
		Binary: c.Binaries().Kubectl, Config: config, User: alice,
		Direct: c.RESTConfig(), DirectKubeconfig: c.AdminKubeconfig(), AuditLog: shared.AgentAuditLog(),
	})
}

func TestKubectl(t *testing.T) {
	bindAlice(t)
	c := newCentre(t)
	kubectl.RunCommands(t, newKubectl(t, c.way("alice")))
}

func TestKubectlStreams(t *testing.T) {
	bindAlice(t)
	c := newCentre(t)
	for _, protocol := range kubectl.Protocols {
		t.Run(protocol.Name, func(t *testing.T) {
			s := &kubectl.Streams{User: newKubectl(t, c.way("alice")), WebSockets: protocol.WebSockets, Silence: kubectl.WantedSilence(t)}
			s.RunPod(t)
			t.Run("streams", s.All)
		})
	}
}

// whoami asks the API server who asks.
func whoami(t *testing.T, config *rest.Config) authenticationv1.UserInfo {
	t.Helper()
	review, err := client(t, config).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return review.Status.UserInfo
}

func TestImpersonationIsTheClustersToAllow(t *testing.T) {
	c := newCentre(t)
	asBob := func(user string) *rest.Config {
		config := c.way(user)
		config.Impersonate = rest.ImpersonationConfig{UserName: "bob@example.com", Groups: []string{"dev"}, UID: "7"}
		return config
	}
	if diff := cmp.Diff(alice, whoami(t, c.way("alice"))); diff != "" {
		t.Errorf("alice herself (-want +got):\n%s", diff)
	}
	reviews := client(t, asBob("alice")).AuthenticationV1().SelfSubjectReviews()
	_, err := reviews.Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("without a right to impersonate: %v", err)
	}
	bindAlice(t)
	await(t, "alice may impersonate", func() bool {
		_, err := reviews.Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		return err == nil
	})
	want := authenticationv1.UserInfo{Username: "bob@example.com", UID: "7", Groups: []string{"dev", "system:authenticated"}}
	if diff := cmp.Diff(want, whoami(t, asBob("alice"))); diff != "" {
		t.Errorf("alice as bob (-want +got):\n%s", diff)
	}
}

// TestAgentsOwnAPI goes the way twice: the API server behind the agent asks the agent.
func TestAgentsOwnAPI(t *testing.T) {
	bindAlice(t)
	c := newCentre(t)
	for _, tc := range []struct {
		name, path string
		want       int
	}{
		{"the agent itself", "/apis/cluster.loft.sh/v1/kubernetes/cluster", http.StatusOK},
		{"what it does not have", "/apis/cluster.loft.sh/v1/nothing", http.StatusNotFound},
		{"what nobody has", "/apis/nobody.example.com/v1/things", http.StatusNotFound},
		{"its door, again", "/apis/cluster.loft.sh/v1/kubernetes/cluster/proxy/api", http.StatusBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			await(t, tc.name, func() bool {
				code, _ := c.get(t, tc.path)
				return code == tc.want
			})
		})
	}
}

func TestAuditRecordOfTheAgentNamesThePersonAndTheirAddress(t *testing.T) {
	bindAlice(t)
	c := newCentre(t)
	config := c.way("alice")
	auditID := ""
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			r.Header.Set("X-Forwarded-For", "198.51.100.7")
			res, err := next.RoundTrip(r)
			if err == nil {
				auditID = res.Header.Get("Audit-Id")
			}
			return res, err
		})
	})
	if _, err := client(t, config).CoreV1().ConfigMaps("audited").Get(t.Context(), "x", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	var found *auditv1.Event
	await(t, "the agent's record", func() bool {
		found = record(t, "audited")
		return found != nil
	})
	got := []any{found.User.Username, found.User.UID, found.ImpersonatedUser == nil, found.SourceIPs[0], string(found.AuditID)}
	if diff := cmp.Diff([]any{alice.Username, alice.UID, true, "198.51.100.7", auditID}, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// record is the agent's audit record of a request in the namespace; nil: there is none yet.
func record(t *testing.T, namespace string) *auditv1.Event {
	t.Helper()
	file, err := os.Open(shared.AgentAuditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	records := bufio.NewScanner(file)
	records.Buffer(nil, 1<<20)
	for records.Scan() {
		var event auditv1.Event
		if json.Unmarshal(records.Bytes(), &event) == nil && event.ObjectRef != nil && event.ObjectRef.Namespace == namespace {
			return &event
		}
	}
	return nil
}

func TestOpenWatchEndsWhenAccessIsTakenAway(t *testing.T) {
	bindAlice(t)
	c := newCentre(t)
	open, err := client(t, c.way("alice")).CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Stop()
	if err := c.storage.ClusterAccesses().Delete(t.Context(), "everybody", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for event := range open.ResultChan() {
		if event.Type != watch.Error {
			continue
		}
		if status, ok := event.Object.(*metav1.Status); !ok || status.Reason != metav1.StatusReasonForbidden {
			t.Errorf("ended with %+v", event.Object)
		}
		if took := time.Since(began); took > patience {
			t.Errorf("took %s", took)
		}
		return
	}
	t.Error("ended without a reason")
}

// TestZAgentDown comes last, since it stops the agent.
func TestZAgentDown(t *testing.T) {
	bindAlice(t)
	c := newCentre(t)
	alices := client(t, c.way("alice"))
	await(t, "an answer", func() bool {
		_, err := alices.CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
	open, err := alices.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Stop()
	if err := shared.Agent().Stop(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	for event := range open.ResultChan() {
		if event.Type == watch.Error {
			t.Errorf("the watch ended with %+v, want a clean end", event.Object)
		}
	}
	await(t, "the agent is missed", func() bool { return missed(t, c) })
	if err := shared.RestartAgent(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	await(t, "the agent is back", func() bool {
		_, err := alices.CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
	deleteAPIService(t)
	await(t, "the agent is missed, for good", func() bool { return missed(t, c) })
}

func deleteAPIService(t *testing.T) {
	t.Helper()
	err := client(t, shared.Cluster().RESTConfig()).CoreV1().RESTClient().Delete().
		AbsPath("/apis/apiregistration.k8s.io/v1/apiservices/v1.cluster.loft.sh").Do(t.Context()).Error()
	if err != nil {
		t.Fatal(err)
	}
}

// get asks as alice and returns the code and what was said.
func (c *centre) get(t *testing.T, path string) (code int, body string) {
	t.Helper()
	config := c.way("alice")
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(said)
}

// missed says whether the gateway says that the agent is not there, and fails the test where it says
// anything that makes clients throw their credentials away, or believe that something does not exist.
func missed(t *testing.T, c *centre) bool {
	t.Helper()
	code, body := c.get(t, "/api/v1/namespaces/default")
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		t.Fatalf("%d %s", code, body)
	}
	return code == http.StatusServiceUnavailable && strings.Contains(body, `the agent of cluster \"eu\"`) && strings.Contains(body, "retryAfterSeconds")
}
