package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"loft.sh/agent/pkg/accesstoken"
)

// forged returns a token with claims that a signer would refuse, signed with the right key.
func forged(t *testing.T, change func(*accesstoken.Claims)) string {
	t.Helper()
	signer := shared.Keys().Signer()
	claims := person("forger")
	claims.Issuer, claims.ID, claims.IssuedAt = signer.Issuer(), rand.Text(), jwt.NewNumericDate(time.Now())
	change(&claims)
	token, err := signer.SignUnchecked(nil, claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// foreign returns a token of issuer, signed with a key that nobody trusts.
func foreign(t *testing.T, issuer string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := accesstoken.NewSigner(issuer, key)
	if err != nil {
		t.Fatal(err)
	}
	claims := person("forger")
	token, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// withoutSignature returns the token of claims with algorithm "none".
func withoutSignature(t *testing.T) string {
	t.Helper()
	token, err := shared.Keys().Signer().SignUnchecked(map[string]any{"alg": "none"}, person("forger"))
	if err != nil {
		t.Fatal(err)
	}
	return token[:strings.LastIndex(token, ".")+1]
}

// refusal is a request that every outer port refuses.
type refusal struct {
	name, method, target string
	lines                []string
	code                 int
	reason               metav1.StatusReason
	// words stand in the message.
	words []string
}

func badCredentials(t *testing.T) []refusal {
	t.Helper()
	signer := shared.Keys().Signer()
	hour := func(n int) *jwt.NumericDate { return jwt.NewNumericDate(time.Now().Add(time.Duration(n) * time.Hour)) }
	lines := map[string][]string{
		"no credential":     nil,
		"basic":             {"Authorization: Basic YWRtaW46YWRtaW4="},
		"empty bearer":      {"Authorization: Bearer "},
		"no JWT":            {bearer("nonsense")},
		"no signature":      {bearer(withoutSignature(t))},
		"cut signature":     {bearer(sign(t, person("alice"))[:200])},
		"expired":           {bearer(forged(t, func(c *accesstoken.Claims) { c.IssuedAt, c.Expiry = hour(-2), hour(-1) }))},
		"not yet valid":     {bearer(forged(t, func(c *accesstoken.Claims) { c.NotBefore = hour(1) }))},
		"another cluster's": {bearer(forged(t, func(c *accesstoken.Claims) { c.Audience = jwt.Audience{"another-cluster"} }))},
		"wrong key":         {bearer(foreign(t, signer.Issuer()))},
		"wrong issuer":      {bearer(foreign(t, "https://evil.example.com"))},
		"system:masters":    {bearer(forged(t, func(c *accesstoken.Claims) { c.Groups = append(c.Groups, "system:masters") }))},
		"system user":       {bearer(forged(t, func(c *accesstoken.Claims) { c.Subject = "system:admin" }))},
		"blank at the end":  {bearer(forged(t, func(c *accesstoken.Claims) { c.Subject += " " }))},
		"line break":        {bearer(forged(t, func(c *accesstoken.Claims) { c.UID = "1\r\nImpersonate-User: admin" }))},
		"no name":           {bearer(forged(t, func(c *accesstoken.Claims) { c.Subject = "" }))},
	}
	var all []refusal
	for name, l := range lines {
		all = append(all, refusal{
			name: name, method: http.MethodGet, target: clusterPath + "/api/v1/namespaces", lines: l,
			code: http.StatusUnauthorized, reason: metav1.StatusReasonUnauthorized, words: []string{"Unauthorized"},
		})
	}
	return all
}

func badPaths() []refusal {
	var all []refusal
	add := func(code int, reason metav1.StatusReason, word string, targets ...string) {
		for _, target := range targets {
			all = append(all, refusal{name: target, method: http.MethodGet, target: target, code: code, reason: reason, words: []string{word}})
		}
	}
	add(http.StatusNotFound, metav1.StatusReasonNotFound, clusterPath+"/",
		"/", "/api", "/apis/cluster.loft.sh/v1", "/metrics", "/debug/pprof/", "/kubernetes", "/kubernetes/", "/kubernetes/nothing/api",
		"/kubernetes/clusters/api", "/Kubernetes/cluster/api", "/kubernetes//cluster/api", "/%6bubernetes/clusterx", proxyPath+"/api")
	add(http.StatusBadRequest, metav1.StatusReasonBadRequest, "segments",
		clusterPath+"/../../healthz", clusterPath+"/api/v1/namespaces/a/../b/pods", clusterPath+"/api/%2e%2e/apis",
		clusterPath+"/api/.%2e/apis", clusterPath+"/api/%2E./apis", clusterPath+"/./api", clusterPath+"/api/..",
		clusterPath+"/api/v1/namespaces/a%2f..%2fb/pods", clusterPath+"%2f../api")
	add(http.StatusBadRequest, metav1.StatusReasonBadRequest, "encoded slash",
		clusterPath+"/api/v1/namespaces/a%2fpods", clusterPath+"/api/v1/namespaces/a%2Fpods/x", clusterPath+"%2fapi")
	add(http.StatusBadRequest, metav1.StatusReasonBadRequest, "empty segments",
		clusterPath+"//api/v1/pods", clusterPath+"/api//v1/pods", clusterPath+"/api/v1/namespaces//pods")
	return all
}

func badUpgrades() []refusal {
	var all []refusal
	for name, lines := range map[string][]string{
		"h2c":                {"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"},
		"h2c in other cases": {"connection: keep-alive, uPGRADE", "upgrade: H2C"},
		"two protocols":      {"Connection: Upgrade", "Upgrade: websocket, h2c"},
		"two headers":        {"Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c"},
		"SPDY/2":             {"Connection: Upgrade", "Upgrade: SPDY/2"},
		"TLS":                {"Connection: Upgrade", "Upgrade: TLS/1.0"},
		"no protocol":        {"Connection: Upgrade"},
	} {
		all = append(all, refusal{
			name: name, method: http.MethodGet, target: clusterPath + "/api/v1/pods", lines: lines,
			code: http.StatusBadRequest, reason: metav1.StatusReasonBadRequest, words: []string{"websocket", "SPDY/3.1"},
		})
	}
	return all
}

func TestRefusals(t *testing.T) {
	good := bearer(sign(t, person("alice")))
	groups := map[string][]refusal{"credential": badCredentials(t)}
	for name, refusals := range map[string][]refusal{"path": badPaths(), "upgrade": badUpgrades()} {
		groups[name+" of a stranger"] = refusals
		for _, r := range refusals {
			r.lines = append([]string{good}, r.lines...)
			groups[name+" of a person"] = append(groups[name+" of a person"], r)
		}
	}
	for _, p := range rawPorts(t) {
		for group, refusals := range groups {
			for _, r := range refusals {
				t.Run(p.name+"/"+group+"/"+r.name, func(t *testing.T) {
					answer := p.send(t, r.method, r.target, "", r.lines...)
					answer.wantStatus(t, r.code, r.reason, r.words...)
					answer.wantCORS(t)
				})
			}
		}
	}
}

// hostAccount returns the token of a service account of the host cluster; bound ones may use the
// endpoint.
func hostAccount(t *testing.T, name string, bound bool) string {
	t.Helper()
	admin := client(t, shared.Cluster().RESTConfig())
	accounts := admin.CoreV1().ServiceAccounts(metav1.NamespaceDefault)
	if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	after := context.WithoutCancel(t.Context())
	t.Cleanup(func() { _ = accounts.Delete(after, name, metav1.DeleteOptions{}) })
	if bound {
		bindings := admin.RbacV1().ClusterRoleBindings()
		_, err := bindings.Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "loft-agent-endpoint-user"},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: metav1.NamespaceDefault, Name: name}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = bindings.Delete(after, name, metav1.DeleteOptions{}) })
	}
	token, err := shared.Cluster().ServiceAccountToken(t.Context(), metav1.NamespaceDefault, name, 0)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestHostAccountNeedsPermissionForTheEndpoint(t *testing.T) {
	stranger, user := hostAccount(t, "e2e-stranger", false), hostAccount(t, "e2e-endpoint-user", true)
	for _, p := range rawPorts(t) {
		t.Run(p.name, func(t *testing.T) {
			answer := p.send(t, http.MethodGet, clusterPath+"/api", "", bearer(stranger))
			answer.wantStatus(t, http.StatusForbidden, metav1.StatusReasonForbidden,
				"system:serviceaccount:default:e2e-stranger", "get", "kubernetes/proxy", "cluster.loft.sh")
			answer.wantCORS(t)
			if answer := p.send(t, http.MethodGet, clusterPath+"/api", "", bearer(user)); answer.code != http.StatusOK {
				t.Errorf("discovery: %d %s", answer.code, answer.body)
			}
			answer = p.send(t, http.MethodGet, clusterPath+"/api/v1/secrets", "", bearer(user))
			answer.wantStatus(t, http.StatusForbidden, metav1.StatusReasonForbidden, "system:serviceaccount:default:e2e-endpoint-user", "secrets")
			answer.wantCORS(t)
			who := whoami(t, p, clusterPath, bearer(user))
			if who.Username != "system:serviceaccount:default:e2e-endpoint-user" || who.UID == "" {
				t.Errorf("the API server sees %q with UID %q", who.Username, who.UID)
			}
		})
	}
}

func TestPreflightNeedsNoCredential(t *testing.T) {
	for _, p := range rawPorts(t) {
		for _, target := range []string{clusterPath + "/api/v1/pods", "/healthz", "/nothing"} {
			t.Run(p.name+target, func(t *testing.T) {
				answer := p.send(t, http.MethodOptions, target, "", "Origin: https://ui.example.com",
					"Access-Control-Request-Method: PATCH", "Access-Control-Request-Headers: authorization")
				if answer.code != http.StatusNoContent || len(answer.body) > 0 {
					t.Errorf("answer %d %q, want an empty 204", answer.code, answer.body)
				}
				answer.wantCORS(t)
				if !strings.Contains(strings.Join(answer.header.Values("Access-Control-Allow-Headers"), ","), "Authorization") {
					t.Error("Authorization is not allowed by name")
				}
			})
		}
		answer := p.send(t, http.MethodOptions, clusterPath+"/api/v1/pods", "")
		answer.wantStatus(t, http.StatusUnauthorized, metav1.StatusReasonUnauthorized)
	}
}

func TestHealthIsForReadersOnly(t *testing.T) {
	for _, p := range rawPorts(t) {
		for _, target := range []string{"/healthz", "/livez", "/readyz", "/version"} {
			t.Run(p.name+target, func(t *testing.T) {
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					answer := p.send(t, method, target, "")
					if answer.code != http.StatusOK || (len(answer.body) > 0) != (method == http.MethodGet) {
						t.Errorf("%s: %d with %d bytes", method, answer.code, len(answer.body))
					}
					answer.wantCORS(t)
				}
				answer := p.send(t, http.MethodPost, target, "{}")
				answer.wantStatus(t, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "POST")
				answer.wantCORS(t)
			})
		}
	}
}

func TestTokenScopeNarrows(t *testing.T) {
	readOnly, inSpaces := person("scoped"), person("scoped")
	readOnly.Scope = &accesstoken.Scope{ReadOnly: true}
	inSpaces.Scope = &accesstoken.Scope{Spaces: []string{"default"}}
	reader, tenant := bearer(sign(t, readOnly)), bearer(sign(t, inSpaces))
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket"}
	for _, tc := range []struct {
		name, method, path, body string
		lines                    []string
		// word stands in the refusal; empty: the token's scope allows it.
		word string
	}{
		{"reader reads", http.MethodGet, "/version", "", []string{reader}, ""},
		{"reader asks about itself", http.MethodPost, reviewPath, reviewBody, []string{reader}, ""},
		{"reader creates", http.MethodPost, "/api/v1/namespaces", "{}", []string{reader}, "read-only"},
		{"reader deletes", http.MethodDelete, "/api/v1/namespaces/default", "", []string{reader}, "read-only"},
		{"reader executes", http.MethodGet, "/api/v1/namespaces/default/pods/x/exec?command=id", "", append(upgrade, reader), "read-only"},
		{"reader proxies", http.MethodGet, "/api/v1/namespaces/default/services/x/proxy/", "", []string{reader}, "read-only"},
		{"tenant discovers", http.MethodGet, "/api/v1", "", []string{tenant}, ""},
		{"tenant in another space", http.MethodGet, "/api/v1/namespaces/kube-system/pods", "", []string{tenant}, "outside of the spaces"},
		{"tenant in all spaces", http.MethodGet, "/api/v1/pods", "", []string{tenant}, "outside of the spaces"},
		{"tenant lists namespaces", http.MethodGet, "/api/v1/namespaces", "", []string{tenant}, "outside of the spaces"},
		{"tenant executes elsewhere", http.MethodGet, "/api/v1/namespaces/kube-system/pods/x/exec?command=id", "", append(upgrade, tenant), "outside of the spaces"},
		{"tenant reads nodes", http.MethodGet, "/api/v1/nodes", "", []string{tenant}, "outside of the spaces"},
	} {
		for _, p := range rawPorts(t) {
			t.Run(p.name+"/"+tc.name, func(t *testing.T) {
				answer := p.send(t, tc.method, clusterPath+tc.path, tc.body, tc.lines...)
				if tc.word != "" {
					answer.wantStatus(t, http.StatusForbidden, metav1.StatusReasonForbidden, "loft:user:scoped", tc.word)
				} else if answer.code >= http.StatusBadRequest {
					t.Errorf("answer %d %s", answer.code, answer.body)
				}
				answer.wantCORS(t)
			})
		}
	}
	// Within its space the host's RBAC decides, as for anybody.
	answer := rawPorts(t)[0].send(t, http.MethodGet, clusterPath+"/api/v1/namespaces/default/pods", "", tenant)
	answer.wantStatus(t, http.StatusForbidden, metav1.StatusReasonForbidden, `pods is forbidden: User "loft:user:scoped"`)
}
