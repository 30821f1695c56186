// Package prober asks a direct endpoint as a client would, and has the agent behind it prove which
// cluster it is in; package pkg/proof says how.
//
// What surprises:
//   - Each probe opens a connection of its own: what a client meets that comes anew is asked, down to
//     the name server and the certificate. The latency is that of a request behind it.
//   - A redirect is a fault. A client that followed one would carry its token to somebody else.
//   - The token that is sent opens nothing, since the endpoint may be anybody's.
package prober

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/pkg/endpoint"
	"loft.sh/agent/pkg/manager/netfault"
	"loft.sh/agent/pkg/proof"
)

// Reasons of a Result besides those of package netfault.
const (
	// ReasonReachable: this cluster's agent answers.
	ReasonReachable = "Reachable"
	// ReasonNotHealthy: an agent answers, and says that it is not well.
	ReasonNotHealthy = "NotHealthy"
	// ReasonNotAnAgent: what answers is something else.
	ReasonNotAnAgent = "NotAnAgent"
	// ReasonAnotherCluster: the agent of another cluster answers.
	ReasonAnotherCluster = "AnotherCluster"
	// ReasonTokenRefused: the agent does not take the manager's token; it may not have the keys yet.
	ReasonTokenRefused = "TokenRefused"
	// ReasonNoProof: the agent answers, and which cluster it is in cannot be found out.
	ReasonNoProof = "NoProof"
)

const (
	// tokenLifetime is enough for one question.
	tokenLifetime = 2 * time.Minute
	// maxAnswer bounds what is read of a stranger's answer, in bytes.
	maxAnswer = 64 << 10
)

// Result is what a probe found.
type Result struct {
	// Reachable says whether the cluster that was meant answers.
	Reachable bool
	// Unknown says that something answers, and nobody could tell which cluster it is.
	Unknown bool
	// Reason is one word in CamelCase; Message says what it means and what to do.
	Reason, Message string
	// Latency of one request over an open connection; 0: there was none.
	Latency time.Duration
}

// Signer signs the token that the prober shows.
type Signer interface {
	Sign(claims accesstoken.Claims) (string, error)
}

// Reviewer has the connected cluster judge a token for one audience. It returns the name of whom the
// token is; empty: the cluster does not take it.
type Reviewer interface {
	Review(ctx context.Context, token, audience string) (username string, err error)
}

// Prober probes endpoints. It may be used by several goroutines.
type Prober struct {
	signer  Signer
	clock   clock.PassiveClock
	timeout time.Duration
}

// New returns a prober. timeout bounds one probe.
func New(signer Signer, timeout time.Duration, clock clock.PassiveClock) *Prober {
	return &Prober{signer: signer, timeout: timeout, clock: clock}
}

// Probe asks the endpoint of the cluster with clusterUID. reviewer is nil where the manager does not
// reach the cluster by itself.
func (p *Prober) Probe(ctx context.Context, e *endpoint.Endpoint, clusterUID string, reviewer Reviewer) Result {
	ctx, stop := context.WithTimeout(ctx, p.timeout)
	defer stop()
	client := newClient(e)
	defer client.CloseIdleConnections()
	a := &attempt{prober: p, client: client, endpoint: e}
	latency, fault := a.health(ctx)
	if fault != nil {
		return *fault
	}
	result := a.prove(ctx, clusterUID, reviewer)
	result.Latency = latency
	return result
}

// newClient makes connections as kubectl does by a context of this endpoint.
func newClient(e *endpoint.Endpoint) *http.Client {
	// Not to verify is what the annotation asks for, and what clients do then.
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: e.Insecure}
	if e.CAData != nil {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(e.CAData)
	}
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: config, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// attempt is one probe.
type attempt struct {
	prober   *Prober
	client   *http.Client
	endpoint *endpoint.Endpoint
}

// health asks twice: the first time opens the connection, the second is timed.
func (a *attempt) health(ctx context.Context) (latency time.Duration, fault *Result) {
	for range 2 {
		begun := a.prober.clock.Now()
		code, body, err := a.do(ctx, http.MethodGet, "/healthz", "")
		latency = a.prober.clock.Since(begun)
		switch {
		case err != nil:
			return 0, unanswered("GET /healthz", err)
		case code >= 300 && code < 400:
			return 0, &Result{Reason: ReasonNotAnAgent, Message: fmt.Sprintf("GET /healthz: answered with a redirect (%d), which no agent does; name the endpoint itself", code)}
		case code == http.StatusOK && strings.TrimSpace(string(body)) == "ok":
		case code == http.StatusOK || code == http.StatusNotFound || code == http.StatusUnauthorized || code == http.StatusForbidden:
			return 0, &Result{Reason: ReasonNotAnAgent, Message: fmt.Sprintf("GET /healthz: answered with code %d, but not as an agent does", code)}
		default:
			return 0, &Result{Reason: ReasonNotHealthy, Message: fmt.Sprintf("GET /healthz: answered with code %d", code)}
		}
	}
	return latency, nil
}

// prove finds out which cluster answers.
func (a *attempt) prove(ctx context.Context, clusterUID string, reviewer Reviewer) Result {
	noProof := func(message string) Result { return Result{Unknown: true, Reason: ReasonNoProof, Message: message} }
	if reviewer == nil || clusterUID == "" {
		return noProof("something answers, but which cluster it is cannot be found out while the manager does not reach the cluster itself")
	}
	token, err := a.prober.sign(clusterUID)
	if err != nil {
		return noProof("the manager has no key to ask with: " + err.Error())
	}
	nonce := proof.NewNonce()
	code, body, err := a.do(ctx, http.MethodPost, proof.Path+"?"+proof.NonceParameter+"="+url.QueryEscape(nonce), token)
	if err != nil {
		return *unanswered("POST "+proof.Path, err)
	}
	answer, refused := readAnswer(code, body)
	if refused != nil {
		return *refused
	}
	username, err := reviewer.Review(ctx, answer, proof.Audience(nonce))
	switch {
	case err != nil:
		_, message := netfault.Of(err)
		return noProof("the cluster's API server does not say whether its agent answered: " + message)
	case username != proof.Username:
		return Result{Reason: ReasonAnotherCluster, Message: "the agent of another cluster answers: this cluster's API server does not know its token"}
	}
	return Result{Reachable: true, Reason: ReasonReachable, Message: "this cluster's agent answers"}
}

// readAnswer returns the agent's token, or what its refusal means.
func readAnswer(code int, body []byte) (token string, refused *Result) {
	var status metav1.Status
	var answer authenticationv1.TokenRequest
	refuse := func(reason, message string) (string, *Result) {
		return "", &Result{Reason: reason, Message: "POST " + proof.Path + ": " + message}
	}
	if code == http.StatusOK {
		if json.Unmarshal(body, &answer) != nil || answer.Kind != "TokenRequest" || answer.Status.Token == "" {
			return refuse(ReasonNotAnAgent, "answered, but not as an agent does")
		}
		return answer.Status.Token, nil
	}
	if json.Unmarshal(body, &status) != nil || status.Kind != "Status" || code == http.StatusNotFound {
		return refuse(ReasonNotAnAgent, fmt.Sprintf("answered with code %d, but not as an agent of this version does", code))
	}
	switch {
	case code == http.StatusUnauthorized && strings.Contains(status.Message, "("+string(accesstoken.ReasonWrongAudience)+")"):
		return refuse(ReasonAnotherCluster, "the agent of another cluster answers: the token for this cluster is not for it")
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return refuse(ReasonTokenRefused, fmt.Sprintf("the agent there does not take this manager's token (code %d): it belongs to another manager, or has not got the newest keys yet", code))
	}
	_, refused = refuse(ReasonNoProof, fmt.Sprintf("the agent gave no proof (code %d): %s", code, status.Reason))
	refused.Unknown = true
	return "", refused
}

func (a *attempt) do(ctx context.Context, method, path, token string) (code int, body []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, a.endpoint.URL+path, nil)
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("User-Agent", "loft-manager/prober")
	r.Header.Set("Accept", "application/json, */*")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := a.client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, body, err
}

func (p *Prober) sign(clusterUID string) (string, error) {
	if p.signer == nil {
		return "", errors.New("it has no signing keys yet")
	}
	now := p.clock.Now()
	return p.signer.Sign(accesstoken.Claims{
		Subject: proof.Prober, Audience: []string{clusterUID},
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(tokenLifetime)), Scope: &accesstoken.Scope{ReadOnly: true},
	})
}

// unanswered is the result of a question that nobody answered.
func unanswered(question string, err error) *Result {
	reason, message := netfault.Of(err)
	return &Result{Reason: reason, Message: question + ": " + message}
}
