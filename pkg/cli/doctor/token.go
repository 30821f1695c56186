package doctor

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/pkg/cli/centre"
	"loft.sh/agent/pkg/cli/probe"
)

// claims are those that a token shows to anybody.
type claims struct {
	Issuer  string          `json:"iss"`
	Subject string          `json:"sub"`
	Expiry  float64         `json:"exp"`
	Groups  []string        `json:"groups"`
	Aud     json.RawMessage `json:"aud"`
}

// longestToken is what proxies with default settings let through in a WebSocket's headers.
const longestToken = 4 << 10

// shortestLife is the lifetime below which a token is no help against a manager that is down.
const shortestLife = time.Hour

// token asks the manager for the cluster's token, and reads what is in it.
func token(ctx context.Context, p *patient) Finding {
	t, err := p.Client.Token(ctx, p.cluster.Name)
	if err != nil {
		return failed(err.Error(), "the manager must issue a token for this cluster: may you use it, and is direct access allowed?")
	}
	p.token = t
	parts := strings.Split(t.Secret, ".")
	if len(parts) != 3 {
		return warning("the token is no JWT", "")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &p.claims) != nil {
		return warning("the token's claims cannot be read", "")
	}
	life := time.Until(t.Expires).Round(time.Second)
	text := fmt.Sprintf("for %s in %d groups, %d bytes, good for %s", p.claims.Subject, len(p.claims.Groups), len(t.Secret), life)
	switch {
	case life <= 0:
		return failed(text, "the clocks of this machine and of the manager disagree")
	case len(t.Secret) > longestToken:
		return warning(text, "proxies may refuse a token of that length: be in fewer teams, or raise their limits")
	case life < shortestLife:
		return warning(text, "a token this short does not bridge a manager that is down")
	}
	return ok(text)
}

// permission asks the cluster whom it takes the person for.
func permission(ctx context.Context, p *patient) Finding {
	review := &authenticationv1.SelfSubjectReview{TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "SelfSubjectReview"}}
	code, body, err := p.post(ctx, "/kubernetes/cluster/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
	const advice = "ask for a ClusterAccess to this cluster"
	switch {
	case err != nil:
		return unreachable(err)
	case code == http.StatusForbidden:
		return failed("no permission to use the endpoint: "+message(body), advice)
	case code != http.StatusCreated || json.Unmarshal(body, review) != nil:
		return failed(fmt.Sprintf("the cluster does not say who you are (%d): %s", code, message(body)), "")
	}
	if seen := review.Status.UserInfo.Username; p.claims.Subject != "" && seen != p.claims.Subject {
		return failed(fmt.Sprintf("the cluster takes you for %s, but the token is for %s", seen, p.claims.Subject), "")
	}
	listed, err := p.get(ctx, "/kubernetes/cluster/api/v1/namespaces"+inNamespace(p.Namespace)+"?limit=1", p.token.Secret)
	if err != nil {
		return unreachable(err)
	}
	if listed.Code == http.StatusForbidden {
		return warning("the cluster knows "+review.Status.UserInfo.Username+", who may not see "+where(p.Namespace), advice+", or try another namespace with --namespace")
	}
	return ok("the cluster knows " + review.Status.UserInfo.Username)
}

// inNamespace is the path below namespaces: all of them, or the pods in one.
func inNamespace(namespace string) string {
	if namespace == "" {
		return ""
	}
	return "/" + namespace + "/pods"
}

func where(namespace string) string {
	if namespace == "" {
		return "namespaces"
	}
	return "pods in " + namespace
}

func (p *patient) post(ctx context.Context, path string, object any) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	data, err := json.Marshal(object)
	if err != nil {
		return 0, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.at.URL+path, bytes.NewReader(data))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+p.token.Secret)
	request.Header.Set("User-Agent", centre.UserAgent())
	response, err := p.http.Do(request)
	if err != nil {
		return 0, nil, &probe.Error{Err: err}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, body, err
}

// message is that of a metav1.Status.
func message(body []byte) string {
	var status metav1.Status
	if json.Unmarshal(body, &status) != nil || status.Message == "" {
		return "no reason given"
	}
	return status.Message
}
