// Package proof answers the manager's question which cluster stands behind an endpoint; see the
// package of the same name that both share.
//
// What surprises: it is no door, since nothing is forwarded, but it refuses as the doors do, and each
// question is audited. Each costs the API server a token, so they are few in a second.
package proof

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/audit"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"

	"loft.sh/agent/pkg/bearer"
	"loft.sh/agent/pkg/door"
	"loft.sh/agent/pkg/doors"
	"loft.sh/agent/pkg/proof"
	"loft.sh/agent/pkg/statuserr"
)

const (
	// perSecond and burst bound the tokens that are made, whoever asks.
	perSecond = 5
	burst     = 10
	// timeout bounds what the API server may take for one.
	timeout = 10 * time.Second
)

var errNotTheManager = errors.New("only the manager may ask, with a token that it makes for that")

// Tokens makes tokens of service accounts of the agent's namespace.
type Tokens interface {
	CreateToken(ctx context.Context, account string, r *authenticationv1.TokenRequest, options metav1.CreateOptions) (*authenticationv1.TokenRequest, error)
}

// Config is what the handler needs. AuditSink and AuditPolicy may be nil: nothing is recorded then.
type Config struct {
	Authenticator door.Authenticator
	Tokens        Tokens
	Clients       doors.ClientAddresses
	AuditSink     audit.Sink
	AuditPolicy   audit.PolicyRuleEvaluator
	Refuse        statuserr.Writer
}

// handler answers with limits.
type handler struct {
	Config
	limiter flowcontrol.RateLimiter
}

// New returns the handler of proof.Path.
func New(c Config) http.Handler {
	h := &handler{Config: c, limiter: flowcontrol.NewTokenBucketRateLimiter(perSecond, burst)}
	var answer http.Handler = http.HandlerFunc(h.answer)
	answer = genericapifilters.WithAudit(answer, c.AuditSink, c.AuditPolicy, isShort)
	answer = h.withAuthentication(answer)
	answer = h.onlyPost(answer)
	answer = genericapifilters.WithRequestInfo(answer, &request.RequestInfoFactory{APIPrefixes: sets.NewString()})
	answer = genericapifilters.WithRequestReceivedTimestamp(answer)
	answer = genericapifilters.WithAuditInit(answer)
	return doors.WithCORS(h.withClientAddress(answer))
}

func (h *handler) withClientAddress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.Clients.Settle(r, false)
		delete(r.Header, "Audit-Id")
		next.ServeHTTP(w, r)
	})
}

func (h *handler) onlyPost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			h.Refuse(w, r, apierrors.NewMethodNotSupported(schema.GroupResource{Resource: "proof"}, r.Method))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withAuthentication answers 401 where the credential is missing or wrong and 503 where it could not be
// checked. Both are audited.
func (h *handler) withAuthentication(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := h.Authenticator.Authenticate(r)
		r.Header.Del("Authorization")
		if err == nil {
			ctx := request.WithUser(r.Context(), caller.User)
			next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, callerKey{}, caller)))
			return
		}
		refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.refuseUnauthenticated(w, r, err) })
		genericapifilters.WithFailedAuthenticationAudit(refuse, h.AuditSink, h.AuditPolicy).ServeHTTP(w, r)
	})
}

type callerKey struct{}

// isShort says that no request here is long-running.
func isShort(*http.Request, *request.RequestInfo) bool { return false }

func (h *handler) refuseUnauthenticated(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, bearer.ErrUnchecked) {
		h.Refuse(w, r, statuserr.Unavailable("the credential cannot be checked at the moment", 1))
		return
	}
	// Strangers get no connection to keep.
	w.Header().Set("Connection", "close")
	h.Refuse(w, r, apierrors.NewUnauthorized("Unauthorized: "+err.Error()))
}

func (h *handler) answer(w http.ResponseWriter, r *http.Request) {
	caller, _ := r.Context().Value(callerKey{}).(door.Caller)
	if caller.Token == nil || caller.User.GetName() != proof.Prober {
		h.Refuse(w, r, apierrors.NewForbidden(schema.GroupResource{Resource: "proof"}, "", errNotTheManager))
		return
	}
	nonce := r.URL.Query().Get(proof.NonceParameter)
	if err := proof.CheckNonce(nonce); err != nil {
		h.Refuse(w, r, apierrors.NewBadRequest(err.Error()))
		return
	}
	if !h.limiter.TryAccept() {
		h.Refuse(w, r, apierrors.NewTooManyRequests("too many proofs are asked for at once", 1))
		return
	}
	token, err := h.token(r.Context(), nonce)
	if err != nil {
		klog.FromContext(r.Context()).Error(err, "No proof for the manager: the API server gives the agent no token")
		h.Refuse(w, r, statuserr.Unavailable("the cluster's API server gives the agent no token of its account; is artifacts/agent applied?", 1))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(token)
}

// token makes the answer: nothing of the API server's but the token.
func (h *handler) token(ctx context.Context, nonce string) (*authenticationv1.TokenRequest, error) {
	ctx, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	seconds := int64(proof.Lifetime / time.Second)
	made, err := h.Tokens.CreateToken(ctx, proof.Account, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: []string{proof.Audience(nonce)}, ExpirationSeconds: &seconds},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return &authenticationv1.TokenRequest{
		TypeMeta: metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "TokenRequest"},
		Status:   made.Status,
	}, nil
}
