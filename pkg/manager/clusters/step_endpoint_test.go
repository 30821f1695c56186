package clusters

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	storagev1 "loft.sh/agent/apis/storage/v1"
	"loft.sh/agent/pkg/manager/netfault"
	"loft.sh/agent/pkg/manager/prober"
	"loft.sh/agent/pkg/proof"
	"loft.sh/agent/test/fakehost"
)

const tokenReviewPath = "/apis/authentication.k8s.io/v1/tokenreviews"

// newEndpoint is an agent's endpoint that signs its answers with a name.
func newEndpoint(t *testing.T, name string) *httptest.Server {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			_, _ = w.Write([]byte("ok"))
			return
		}
		answer(200, `{"kind":"TokenRequest","status":{"token":"`+name+" "+r.URL.Query().Get("nonce")+`"}}`)(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// reviews has a fake cluster know the answers with that name.
func reviews(host *fakehost.Host, name string) {
	host.Answer(http.MethodPost, tokenReviewPath, func(w http.ResponseWriter, r *http.Request) {
		var review struct {
			Spec struct {
				Token     string
				Audiences []string
			}
		}
		_ = json.NewDecoder(r.Body).Decode(&review)
		nonce, known := strings.CutPrefix(review.Spec.Token, name+" ")
		status := map[string]any{"authenticated": false}
		if known && len(review.Spec.Audiences) == 1 && review.Spec.Audiences[0] == proof.Audience(nonce) {
			status = map[string]any{"authenticated": true, "audiences": review.Spec.Audiences, "user": map[string]any{"username": proof.Username}}
		}
		body, _ := json.Marshal(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": map[string]any{}, "status": status})
		answer(201, string(body))(w, r)
	})
}

func annotate(server *httptest.Server) map[string]string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return map[string]string{
		storagev1.AnnotationDirectEndpoint: server.URL, storagev1.AnnotationDirectEndpointCAData: base64.StdEncoding.EncodeToString(ca),
	}
}

func TestEndpoint(t *testing.T) {
	w := newWorld(t, quick())
	host, cluster := w.add(t, "eu")
	reviews(host, "eu")
	endpoint, other := newEndpoint(t, "eu"), newEndpoint(t, "us")
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionDirectEndpointReachable, "")
	w.change(t, "eu", func(c *storagev1.Cluster) { c.Annotations = annotate(endpoint) })
	got := w.await(t, "eu", storagev1.ConditionDirectEndpointReachable, "True Reachable").Status.Endpoint
	if got.URL != endpoint.URL || !got.Reachable || got.Reason != "" || got.LastProbeTime == nil {
		t.Errorf("endpoint %+v", got)
	}
	w.change(t, "eu", func(c *storagev1.Cluster) { c.Annotations = annotate(other) })
	w.await(t, "eu", storagev1.ConditionDirectEndpointReachable, "False "+prober.ReasonAnotherCluster)
	w.change(t, "eu", func(c *storagev1.Cluster) {
		c.Annotations = map[string]string{storagev1.AnnotationDirectEndpoint: endpoint.URL}
	})
	got = w.await(t, "eu", storagev1.ConditionDirectEndpointReachable, "False "+netfault.CertificateUnknownAuthority).Status.Endpoint
	if got.Reachable || got.Reason != netfault.CertificateUnknownAuthority {
		t.Errorf("endpoint %+v", got)
	}
	w.change(t, "eu", func(c *storagev1.Cluster) {
		c.Annotations = map[string]string{storagev1.AnnotationDirectEndpoint: "http://eu.example.com"}
	})
	w.await(t, "eu", storagev1.ConditionDirectEndpointReachable, "False "+ReasonAnnotationInvalid)
	w.change(t, "eu", func(c *storagev1.Cluster) { c.Annotations = nil })
	if got := w.await(t, "eu", storagev1.ConditionDirectEndpointReachable, "").Status.Endpoint; got != nil {
		t.Errorf("endpoint %+v without an annotation", got)
	}
	events := strings.Join(w.recorder.events(), "\n")
	for _, want := range []string{"Normal Reachable", "Warning AnotherCluster", "Warning CertificateUnknownAuthority", "Warning AnnotationInvalid"} {
		if !strings.Contains(events, want) {
			t.Errorf("no event %q in\n%s", want, events)
		}
	}
}

func TestEndpointOfAClusterThatIsNotReached(t *testing.T) {
	w := newWorld(t, quick())
	_, cluster := w.add(t, "eu")
	cluster.Annotations = annotate(newEndpoint(t, "eu"))
	w.setSecret(t, "eu", fakehost.Kubeconfig("https://127.0.0.1:1", nil))
	w.create(t, cluster)
	w.run(t)
	w.await(t, "eu", storagev1.ConditionDirectEndpointReachable, "Unknown "+prober.ReasonNoProof)
}

// TestProbeIsWrittenOnlyWithAnotherAnswer holds what makes a status worth a write.
func TestProbeIsWrittenOnlyWithAnotherAnswer(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	c := &Controller{Config: Config{Clock: clock}}
	reachable := prober.Result{Reachable: true, Reason: prober.ReasonReachable, Latency: 100 * time.Millisecond}
	status := &storagev1.ClusterStatus{}
	c.probed(status, "https://a", reachable)
	first := *status.Endpoint
	for _, tt := range []struct {
		name     string
		latency  time.Duration
		url      string
		down     bool
		wantSame bool
	}{
		{name: "same", latency: 100 * time.Millisecond, url: "https://a", wantSame: true},
		{name: "a little slower", latency: 140 * time.Millisecond, url: "https://a", wantSame: true},
		{name: "much slower", latency: 151 * time.Millisecond, url: "https://a"},
		{name: "down", url: "https://a", down: true},
		{name: "elsewhere", latency: 100 * time.Millisecond, url: "https://b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clock.Step(time.Minute)
			next := &storagev1.ClusterStatus{Endpoint: first.DeepCopy()}
			found := reachable
			found.Latency = tt.latency
			if tt.down {
				found = prober.Result{Reason: netfault.Timeout}
			}
			c.probed(next, tt.url, found)
			same := *next.Endpoint
			same.LastProbeTime = first.LastProbeTime
			isSame := same == first && next.Endpoint.LastProbeTime.Equal(first.LastProbeTime)
			if isSame != tt.wantSame {
				t.Errorf("endpoint %+v after %+v", next.Endpoint, first)
			}
			moved := tt.down || tt.url != "https://a"
			if now := metav1.NewTime(clock.Now()); moved != next.Endpoint.LastProbeTime.Equal(&now) {
				t.Errorf("last probe time %s", next.Endpoint.LastProbeTime)
			}
		})
	}
}
