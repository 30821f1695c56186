package streams

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var revoked = &End{Code: 401, Reason: "Unauthorized", Message: "the token was revoked"}

// serve writes parts of an answer, is ended by end, and returns what the client got.
func serve(t *testing.T, kind Kind, contentType string, end *End, parts ...string) (body string, abnormal bool) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
	recorder := httptest.NewRecorder()
	func() {
		defer func() { abnormal = recover() != nil }()
		w, _, done := Open(recorder, r, Settings{Kind: kind})
		defer done()
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(http.StatusOK)
		for _, part := range parts {
			if _, err := w.Write([]byte(part)); err != nil {
				t.Error(err)
			}
		}
		cancel(end)
		panic(http.ErrAbortHandler) // the reverse proxy's word for an answer that stopped
	}()
	return recorder.Body.String(), abnormal
}

func TestWatchAndLogEndWithAReason(t *testing.T) {
	event := `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the token was revoked","reason":"Unauthorized","code":401}}` + "\n"
	leaving := &End{GoingAway: true, Message: "the agent stops"}
	for _, tc := range []struct {
		name, contentType string
		kind              Kind
		end               *End
		parts             []string
		want              string
		wantAbnormal      bool
	}{
		{"watch", "application/json", Watch, revoked, []string{"{}\n"}, event, false},
		{"watch, an event in two parts", "application/json", Watch, revoked, []string{"{", "}\n"}, event, false},
		{"watch before its first event", "application/json", Watch, revoked, nil, event, false},
		{"watch within an event", "application/json", Watch, revoked, []string{"{}\n{"}, "", true},
		{"watch, the agent stops", "application/json", Watch, leaving, []string{"{}\n"}, "", false},
		{"watch in an encoding that is not known", "application/cbor-seq", Watch, revoked, []string{"x"}, "", true},
		{"log", "text/plain", Log, revoked, []string{"a\n"}, "[loft-agent: the log ends here: the token was revoked]\n", true},
		{"log within a line", "text/plain", Log, revoked, []string{"a"}, "\n[loft-agent: the log ends here: the token was revoked]\n", true},
		{"something else", "text/plain", Other, revoked, []string{"a\n"}, "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body, abnormal := serve(t, tc.kind, tc.contentType, tc.end, tc.parts...)
			if diff := cmp.Diff(strings.Join(tc.parts, "")+tc.want, body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if abnormal != tc.wantAbnormal {
				t.Errorf("ended abnormally: %t, want %t", abnormal, tc.wantAbnormal)
			}
		})
	}
}

func TestProtobufWatchEndsAtAnEventBoundaryOnly(t *testing.T) {
	whole := string(prefix([]byte("event")))
	const contentType = "application/vnd.kubernetes.protobuf;stream=watch"
	body, abnormal := serve(t, Watch, contentType, revoked, whole[:2], whole[2:7], whole[7:])
	if last, ok := strings.CutPrefix(body, whole); abnormal || !ok || !strings.Contains(last, revoked.Message) || !strings.Contains(last, "ERROR") {
		t.Errorf("body %q, abnormal %t; want a last event", body, abnormal)
	}
	if body, abnormal := serve(t, Watch, contentType, revoked, whole[:7]); !abnormal || body != whole[:7] {
		t.Errorf("within an event: body %q, abnormal %t", body, abnormal)
	}
}

func TestCrashIsNotMadeAGoodEnd(t *testing.T) {
	defer func() {
		if got := recover(); got != "crash" {
			t.Errorf("panicked with %v", got)
		}
	}()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(revoked)
	_, _, done := Open(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx), Settings{Kind: Watch})
	defer done()
	panic("crash")
}
