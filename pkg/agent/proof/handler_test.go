package proof

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes/scheme"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/bearer"
	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/proof"
	"loft.sh/agent/pkg/statuserr"
)

// byToken authenticates by names in place of tokens.
type byToken struct{}

func (byToken) Authenticate(r *http.Request) (door.Caller, error) {
	token := bearer.Token(r.Header)
	switch token {
	case "":
		return door.Caller{}, errors.New("no credential")
	case "unchecked":
		return door.Caller{}, fmt.Errorf("%w: no bundle", bearer.ErrUnchecked)
	case "reviewed":
		return door.Caller{User: &user.DefaultInfo{Name: proof.Prober}}, nil
	}
	return door.Caller{User: &user.DefaultInfo{Name: token}, Token: &accesstoken.Identity{}}, nil
}

// tokens records what it is asked for.
type tokens struct {
	asked []string
	err   error
}

func (f *tokens) CreateToken(_ context.Context, account string, r *authenticationv1.TokenRequest, _ metav1.CreateOptions) (*authenticationv1.TokenRequest, error) {
	f.asked = append(f.asked, fmt.Sprint(account, " ", r.Spec.Audiences, " ", *r.Spec.ExpirationSeconds))
	if f.err != nil {
		return nil, f.err
	}
	r.Status.Token = "signed"
	return r, nil
}

const nonce = "abcdefghijklmnop"

func ask(t *testing.T, h http.Handler, method, token, nonce string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, proof.Path+"?nonce="+nonce, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func newHandler(f *tokens) http.Handler {
	return New(Config{Authenticator: byToken{}, Tokens: f, Refuse: statuserr.NewWriter(scheme.Codecs)})
}

func TestProof(t *testing.T) {
	f := &tokens{}
	w := ask(t, newHandler(f), http.MethodPost, proof.Prober, nonce)
	var answer authenticationv1.TokenRequest
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK || answer.Status.Token != "signed" || answer.Kind != "TokenRequest" {
		t.Errorf("code %d, answer %s, error %v", w.Code, w.Body, err)
	}
	if diff := cmp.Diff([]string{"loft-agent [loft.sh/endpoint-proof:" + nonce + "] 600"}, f.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestTokenOfTheAgentForOthers is whoever would use the agent's right to make tokens.
func TestTokenOfTheAgentForOthers(t *testing.T) {
	for _, tt := range []struct {
		name, method, token, nonce string
		err                        error
		wantCode                   int
		wantAsked                  bool
	}{
		{name: "person", method: http.MethodPost, token: "loft:user:alice", nonce: nonce, wantCode: http.StatusForbidden},
		{name: "the manager's name without its signature", method: http.MethodPost, token: "reviewed", nonce: nonce, wantCode: http.StatusForbidden},
		{name: "nobody", method: http.MethodPost, nonce: nonce, wantCode: http.StatusUnauthorized},
		{name: "not checked", method: http.MethodPost, token: "unchecked", nonce: nonce, wantCode: http.StatusServiceUnavailable},
		{name: "GET", method: http.MethodGet, token: proof.Prober, nonce: nonce, wantCode: http.StatusMethodNotAllowed},
		{name: "no nonce", method: http.MethodPost, token: proof.Prober, wantCode: http.StatusBadRequest},
		{name: "nonce that names another audience", method: http.MethodPost, token: proof.Prober, nonce: nonce + "%2Chttps%3A%2F%2Fx", wantCode: http.StatusBadRequest},
		{name: "API server refuses", method: http.MethodPost, token: proof.Prober, nonce: nonce, err: errors.New("forbidden"), wantCode: http.StatusServiceUnavailable, wantAsked: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &tokens{err: tt.err}
			w := ask(t, newHandler(f), tt.method, tt.token, tt.nonce)
			if w.Code != tt.wantCode || (len(f.asked) > 0) != tt.wantAsked {
				t.Errorf("code %d, asked %q; want %d", w.Code, f.asked, tt.wantCode)
			}
			if body := w.Body.String(); !strings.Contains(body, `"kind":"Status"`) || strings.Contains(body, "signed") {
				t.Errorf("body %s", body)
			}
		})
	}
}

func TestFloodOfProofsIsCut(t *testing.T) {
	f := &tokens{}
	h := newHandler(f)
	var last int
	for range 3 * burst {
		last = ask(t, h, http.MethodPost, proof.Prober, nonce).Code
	}
	if last != http.StatusTooManyRequests || len(f.asked) > 2*burst {
		t.Errorf("last code %d after %d tokens", last, len(f.asked))
	}
}
