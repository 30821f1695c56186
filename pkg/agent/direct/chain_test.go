package direct

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilwaitgroup "k8s.io/apimachinery/pkg/util/waitgroup"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"loft.sh/agent/pkg/agent/authn"
	"loft.sh/agent/pkg/proxy"
	"loft.sh/agent/pkg/statuserr"
)

// sink remembers audit events.
type sink struct {
	lock   sync.Mutex
	events []*auditinternal.Event
	added  chan struct{}
}

func (s *sink) ProcessEvents(events ...*auditinternal.Event) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, event := range events {
		s.events = append(s.events, event.DeepCopy())
	}
	s.added <- struct{}{}
	return true
}

// last waits for the event that ends a request.
func (s *sink) last(t *testing.T) *auditinternal.Event {
	t.Helper()
	for {
		select {
		case <-s.added:
		case <-time.After(30 * time.Second):
			t.Fatal("no audit event")
		}
		s.lock.Lock()
		event := s.events[len(s.events)-1]
		s.lock.Unlock()
		if event.Stage == auditinternal.StageResponseComplete || event.Stage == auditinternal.StagePanic {
			return event
		}
	}
}

// decide is what the host's authoriser says.
type decide struct {
	decision authorizer.Decision
	err      error
}

func (d decide) Authorize(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	return d.decision, "", d.err
}

// testDoor is a door in front of a host, and a token for it.
type testDoor struct {
	url, token string
	audit      *sink
}

func newDoor(t *testing.T, host http.Handler, decision decide, change ...func(*Config)) testDoor {
	t.Helper()
	server := httptest.NewTLSServer(host)
	t.Cleanup(server.Close)
	upstream, err := proxy.NewUpstream(&rest.Config{Host: server.URL, BearerToken: "agent", TLSClientConfig: rest.TLSClientConfig{
		CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	codecs := serializer.NewCodecFactory(scheme)
	rules, err := policy.LoadPolicyFromBytes([]byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	fake := clocktesting.NewFakeClock(time.Now())
	verifier, _, token := issue(t, fake)
	d := testDoor{audit: &sink{added: make(chan struct{}, 100)}, token: token}
	config := Config{
		Prefix: ClusterPrefix, Authenticator: &authn.Authenticator{Direct: verifier}, Authorizer: authorizer.AuthorizerFunc(decision.Authorize),
		AuditSink: d.audit, AuditPolicy: policy.NewPolicyRuleEvaluator(rules), Activity: NewCounter(),
		Forwarder: proxy.New(upstream, statuserr.NewWriter(codecs)), Lifetimes: NewLifetimes(verifier, clock.RealClock{}),
		Serializer: codecs, Timeout: time.Minute, MaxInFlight: 10, MaxMutatingInFlight: 10, InFlight: &utilwaitgroup.SafeWaitGroup{},
	}
	for _, do := range change {
		do(&config)
	}
	front := httptest.NewServer(New(config))
	t.Cleanup(front.Close)
	d.url = front.URL
	return d
}

func (d testDoor) get(ctx context.Context, t *testing.T, path string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

var allow = decide{decision: authorizer.DecisionAllow}

func TestClientThatLeavesAWatchIsNoCrashInTheAuditLog(t *testing.T) {
	d := newDoor(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "{}\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}), allow)
	ctx, leave := context.WithCancel(t.Context())
	res := d.get(ctx, t, "/kubernetes/cluster/api/v1/pods?watch=true")
	if _, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	leave()
	event := d.audit.last(t)
	if event.Stage != auditinternal.StageResponseComplete || event.ResponseStatus.Code != http.StatusOK {
		t.Errorf("stage %s, status %+v; want ResponseComplete, 200", event.Stage, event.ResponseStatus)
	}
}

func TestAnswerThatBreaksOffIsNotTakenForAWholeOne(t *testing.T) {
	d := newDoor(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		panic(http.ErrAbortHandler)
	}), allow)
	res := d.get(t.Context(), t, "/kubernetes/cluster/api/v1/pods")
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the client was not told that the answer broke off")
	}
}

func TestWhatCannotBeCheckedIsNeitherAllowedNorRefused(t *testing.T) {
	forwarded := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request was forwarded") })
	for _, tc := range []struct {
		name       string
		host       decide
		wantCode   int
		wantWords  []string
		wantReason metav1.StatusReason
	}{
		{"no", decide{decision: authorizer.DecisionNoOpinion}, http.StatusForbidden,
			[]string{"loft:user:alice", "kubernetes/proxy", "get"}, metav1.StatusReasonForbidden},
		{"never", decide{decision: authorizer.DecisionDeny}, http.StatusForbidden, nil, metav1.StatusReasonForbidden},
		{"cannot be asked", decide{decision: authorizer.DecisionNoOpinion, err: errors.New("down")}, http.StatusServiceUnavailable,
			nil, metav1.StatusReasonServiceUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDoor(t, forwarded, tc.host)
			res := d.get(t.Context(), t, "/kubernetes/cluster/api/v1/pods")
			var status metav1.Status
			if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != tc.wantCode || status.Reason != tc.wantReason {
				t.Errorf("%d %s, want %d %s", res.StatusCode, status.Reason, tc.wantCode, tc.wantReason)
			}
			for _, word := range tc.wantWords {
				if !strings.Contains(status.Message, word) {
					t.Errorf("message %q does not name %q", status.Message, word)
				}
			}
			if retry := res.Header.Get("Retry-After"); (retry != "") != (tc.wantCode == http.StatusServiceUnavailable) {
				t.Errorf("Retry-After %q", retry)
			}
			if got := d.audit.last(t).ResponseStatus.Code; int(got) != tc.wantCode {
				t.Errorf("audit says %d", got)
			}
		})
	}
}
