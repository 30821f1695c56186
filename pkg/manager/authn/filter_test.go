package authn

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"

	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/statuserr"
)

// always says the same of every request.
type always struct {
	caller door.Caller
	err    error
}

func (a always) Authenticate(*http.Request) (door.Caller, error) { return a.caller, a.err }

func serve(t *testing.T, a door.Authenticator, next http.HandlerFunc) *httptest.ResponseRecorder {
	t.Helper()
	f := &Filter{
		Authenticator: a, Resolver: &request.RequestInfoFactory{},
		Refuse: func(w http.ResponseWriter, _ *http.Request, err error) {
			var status apierrors.APIStatus
			if !errors.As(err, &status) {
				t.Fatalf("not an API status: %v", err)
			}
			w.WriteHeader(int(status.Status().Code))
		},
	}
	w := httptest.NewRecorder()
	f.With(next).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api", nil))
	return w
}

func TestFilterHandsTheCallerOn(t *testing.T) {
	end := time.Now().Add(time.Hour)
	served := false
	serve(t, always{caller: door.Caller{User: &user.DefaultInfo{Name: "alice"}, Expiry: end}}, func(_ http.ResponseWriter, r *http.Request) {
		served = true
		response, ok, err := FromFilter().AuthenticateRequest(r)
		if err != nil || !ok || response.User.GetName() != "alice" {
			t.Errorf("got %v, %t, %v", response, ok, err)
		}
		if deadline, ok := r.Context().Deadline(); !ok || !deadline.Equal(end) {
			t.Errorf("what is shown ends at %s, want %s", deadline, end)
		}
	})
	if !served {
		t.Error("not served")
	}
}

func TestFilterRefuses(t *testing.T) {
	for code, err := range map[int]error{
		http.StatusUnauthorized:       unauthorized("no"),
		http.StatusTooManyRequests:    apierrors.NewTooManyRequests("no", 1),
		http.StatusServiceUnavailable: statuserr.Unavailable("no", 1),
	} {
		w := serve(t, always{err: err}, func(http.ResponseWriter, *http.Request) { t.Error("served") })
		if w.Code != code {
			t.Errorf("code %d, want %d", w.Code, code)
		}
		if closes := w.Header().Get("Connection") == "close"; closes != (code != http.StatusServiceUnavailable) {
			t.Errorf("code %d: closes the connection %t", code, closes)
		}
	}
}

// Who gets past the door without having been asked is nobody.
func TestNothingIsBelievedWithoutTheFilter(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api", nil)
	r.Header.Set("X-Remote-User", "admin")
	if response, ok, err := FromFilter().AuthenticateRequest(r); ok || err == nil {
		t.Errorf("got %v", response)
	}
}
