package door

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilwaitgroup "k8s.io/apimachinery/pkg/util/waitgroup"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/bearer"
	"loft.sh/agent/pkg/observe"
	"loft.sh/agent/pkg/proxy"
	"loft.sh/agent/pkg/proxy/streams"
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
		switch event.Stage {
		case auditinternal.StageResponseComplete, auditinternal.StagePanic:
			return event
		case auditinternal.StageResponseStarted:
			// A failed authentication has no other stage.
			if event.ResponseStatus.Code >= http.StatusBadRequest {
				return event
			}
		}
	}
}

const (
	testPrefix = "/kubernetes/cluster"
	testToken  = "good"
	testUser   = "loft:user:alice"
)

var testMetrics = observe.NewMetrics("loft_test", "test")

func init() { legacyregistry.MustRegister(testMetrics.All()...) }

// tokens is an authenticator that knows testToken.
type tokens struct{}

func (tokens) Authenticate(r *http.Request) (Caller, error) {
	switch bearer.Token(r.Header) {
	case testToken:
		return Caller{User: &user.DefaultInfo{Name: testUser, Groups: []string{user.AllAuthenticated}}}, nil
	case "unchecked":
		return Caller{}, fmt.Errorf("%w: down", bearer.ErrUnchecked)
	case "often":
		return Caller{}, apierrors.NewTooManyRequests("too many failures", 7)
	}
	return Caller{}, errors.New("no credential")
}

// decide is an access that answers every request alike, and streams by still, which may be nil.
type decide struct {
	refusal error
	still   func(*Caller) *streams.End
	changed chan struct{}
}

func (d *decide) Permit(*http.Request, *Caller, *Target) error { return d.refusal }

func (d *decide) Still(caller *Caller, _ *Target) *streams.End {
	if d.still == nil {
		return nil
	}
	return d.still(caller)
}

func (d *decide) Changed() <-chan struct{} { return d.changed }

var allow = &decide{}

// testDoor is a door in front of a host, and a token for it.
type testDoor struct {
	url, token string
	audit      *sink
}

func newDoor(t *testing.T, host http.Handler, access Access, change ...func(*Config)) testDoor {
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
	d := testDoor{audit: &sink{added: make(chan struct{}, 100)}, token: testToken}
	config := Config{
		Name: "direct", Program: "agent", Locate: At(testPrefix, proxy.New(upstream, statuserr.NewWriter(codecs))),
		Authenticator: tokens{}, Access: access, Impersonation: authorizer.AuthorizerFunc(
			func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
				return authorizer.DecisionNoOpinion, "", nil
			}),
		AuditSink: d.audit, AuditPolicy: policy.NewPolicyRuleEvaluator(rules),
		Lifetimes: NewLifetimes(access, "agent", clock.RealClock{}), Metrics: testMetrics,
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

func TestClientThatLeavesAWatchIsNoCrashInTheAuditLog(t *testing.T) {
	d := newDoor(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "{}\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}), allow)
	ctx, leave := context.WithCancel(t.Context())
	res := d.get(ctx, t, testPrefix+"/api/v1/pods?watch=true")
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
	res := d.get(t.Context(), t, testPrefix+"/api/v1/pods")
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Error("the client was not told that the answer broke off")
	}
}

func TestRefusalsAreAnsweredAndAudited(t *testing.T) {
	forwarded := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request was forwarded") })
	for _, tc := range []struct {
		name, token string
		access      *decide
		wantCode    int
		wantReason  metav1.StatusReason
		wantRetry   string
	}{
		{"no credential", "bad", allow, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, ""},
		{"credential that cannot be checked", "unchecked", allow, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "1"},
		{"refusal of the authenticator's own", "often", allow, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "7"},
		{"no", testToken, &decide{refusal: apierrors.NewForbidden(schema.GroupResource{}, "x", nil)}, http.StatusForbidden, metav1.StatusReasonForbidden, ""},
		{"cannot be asked", testToken, &decide{refusal: statuserr.Unavailable("x", 3)}, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDoor(t, forwarded, tc.access)
			d.token = tc.token
			res := d.get(t.Context(), t, testPrefix+"/api/v1/pods")
			var status metav1.Status
			if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != tc.wantCode || status.Reason != tc.wantReason {
				t.Errorf("%d %s, want %d %s", res.StatusCode, status.Reason, tc.wantCode, tc.wantReason)
			}
			if retry := res.Header.Get("Retry-After"); retry != tc.wantRetry {
				t.Errorf("Retry-After %q, want %q", retry, tc.wantRetry)
			}
			if got := d.audit.last(t).ResponseStatus.Code; int(got) != tc.wantCode {
				t.Errorf("audit says %d", got)
			}
		})
	}
}

func TestAccessThatWasTakenMeanwhileOpensNoStream(t *testing.T) {
	forwarded := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request was forwarded") })
	for _, tc := range []struct {
		name     string
		end      streams.End
		wantCode int
	}{
		{"credential", streams.End{Code: http.StatusUnauthorized, Reason: metav1.StatusReasonUnauthorized, Err: errors.New("revoked")}, http.StatusUnauthorized},
		{"permission", streams.End{Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: "no"}, http.StatusForbidden},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newDoor(t, forwarded, &decide{still: func(*Caller) *streams.End { return &tc.end }})
			if res := d.get(t.Context(), t, testPrefix+"/api/v1/pods?watch=true"); res.StatusCode != tc.wantCode {
				t.Errorf("code %d, want %d", res.StatusCode, tc.wantCode)
			}
		})
	}
}
