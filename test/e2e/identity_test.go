package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"loft.sh/agent/pkg/accesstoken"
	"loft.sh/agent/test/controlplane"
)

const (
	reviewPath = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
	reviewBody = `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`
	proxyPath  = "/apis/cluster.loft.sh/v1/kubernetes/cluster/proxy"
	agentUser  = "system:serviceaccount:loft:loft-agent"
)

// mallory is a person with every part of an identity and no right but to use the endpoint.
func mallory() accesstoken.Claims {
	claims := person("mallory", "dev", "Ünï code")
	claims.Extra = map[string][]string{"example.com/scope%": {"a", "b c"}, "plain": {"d"}}
	return claims
}

// userOf is what the API server must see for claims.
func userOf(claims accesstoken.Claims) authenticationv1.UserInfo {
	u := authenticationv1.UserInfo{Username: claims.Subject, UID: claims.UID, Groups: claims.Groups}
	for key, values := range claims.Extra {
		if u.Extra == nil {
			u.Extra = map[string]authenticationv1.ExtraValue{}
		}
		u.Extra[key] = values
	}
	return u
}

// whoami asks the API server behind p, below prefix, who it thinks that asks.
func whoami(t *testing.T, p rawPort, prefix string, lines ...string) authenticationv1.UserInfo {
	t.Helper()
	answer := p.send(t, http.MethodPost, prefix+reviewPath, reviewBody, lines...)
	if answer.code != http.StatusCreated {
		t.Fatalf("answer %d %s", answer.code, answer.body)
	}
	var review authenticationv1.SelfSubjectReview
	if err := json.Unmarshal(answer.body, &review); err != nil {
		t.Fatal(err)
	}
	return review.Status.UserInfo
}

func sameUser(t *testing.T, want, got authenticationv1.UserInfo) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(strings.Compare), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("user at the API server (-want +got):\n%s", diff)
	}
}

func TestAPIServerSeesExactlyTheTokensUser(t *testing.T) {
	claims := mallory()
	token := sign(t, claims)
	for _, p := range rawPorts(t) {
		t.Run(p.name, func(t *testing.T) {
			sameUser(t, userOf(claims), whoami(t, p, clusterPath, bearer(token)))
		})
	}
}

func TestAPIServerSeesExactlyTheAdminThroughTheAggregator(t *testing.T) {
	config := shared.Cluster().RESTConfig()
	admin := newRawPort(t, "API server", shared.Cluster().URL(), keyPair(t, controlplane.KeyPair{Cert: config.CertData, Key: config.KeyData}))
	sameUser(t, whoami(t, admin, ""), whoami(t, admin, proxyPath))
}

// hostileLines are headers by which a client would be somebody else, or elsewhere. Impersonation
// that the API server knows is no attack: it is checked.
func hostileLines(admin string) map[string][]string {
	return map[string][]string{
		"connection drops the identity": {
			"Connection: Impersonate-User, impersonate-uid, IMPERSONATE-GROUP, Authorization, Impersonate-Extra-Plain",
		},
		"front proxy": {
			"X-Remote-User: admin", "x-remote-group: system:masters", "X-Remote-Uid: 0", "X-Remote-Extra-Scopes: all",
		},
		"unknown impersonation": {"Impersonate-Users: admin", "impersonate-anything: system:masters"},
		"addresses": {
			"X-Forwarded-For: 203.0.113.9", "X-Real-Ip: 203.0.113.9", "Forwarded: for=203.0.113.9", "X-Forwarded-User: admin",
		},
		"audit ID":             {"Audit-ID: forged"},
		"upgrade nobody asked": {"Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"},
		"second credential":    {"Authorization: Bearer " + admin},
		"proxy's credential":   {"Proxy-Authorization: Bearer " + admin, "Proxy-Connection: Impersonate-User"},
		"web socket's token": {
			"Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io." + base64.RawURLEncoding.EncodeToString([]byte(admin)),
		},
	}
}

func TestHostileHeadersDoNotChangeWhatTheAPIServerSees(t *testing.T) {
	claims := mallory()
	token, other := sign(t, claims), sign(t, person("somebody-else"))
	for _, p := range rawPorts(t) {
		for name, lines := range hostileLines(other) {
			t.Run(p.name+" "+name, func(t *testing.T) {
				agent := uniqueAgent()
				lines = append([]string{bearer(token), "User-Agent: " + agent}, lines...)
				sameUser(t, userOf(claims), whoami(t, p, clusterPath, lines...))
				wantAudited(t, agent, claims)
			})
			for _, protocol := range []string{"websocket", "SPDY/3.1"} {
				if name == "upgrade nobody asked" {
					continue // a second Upgrade header is refused, see TestRefusals
				}
				t.Run(p.name+" "+protocol+" "+name, func(t *testing.T) {
					agent := uniqueAgent()
					upgrade := append([]string{bearer(token), "User-Agent: " + agent, "Connection: Upgrade", "Upgrade: " + protocol,
						"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, lines...)
					answer := p.send(t, http.MethodGet, clusterPath+"/api/v1/namespaces/default/pods/none/exec?command=id", "", upgrade...)
					answer.wantStatus(t, http.StatusForbidden, metav1.StatusReasonForbidden, claims.Subject, "pods/exec")
					wantAudited(t, agent, claims)
				})
			}
		}
	}
}

// wantAudited looks into both audit logs for the request with the given User-Agent.
func wantAudited(t *testing.T, agent string, claims accesstoken.Claims) {
	t.Helper()
	byAgent := func(e *auditv1.Event) bool { return e.UserAgent == agent }
	for _, event := range audited(t, shared.Cluster().AuditLog(), byAgent) {
		if event.User.Username != agentUser || event.ImpersonatedUser == nil {
			t.Fatalf("API server's audit: user %q impersonates %v", event.User.Username, event.ImpersonatedUser)
		}
		sameUser(t, userOf(claims), *event.ImpersonatedUser)
		wantNoForgery(t, "API server", event)
	}
	for _, event := range audited(t, shared.AgentAuditLog(), byAgent) {
		sameUser(t, userOf(claims), event.User)
		wantNoForgery(t, "agent", event)
	}
}

func wantNoForgery(t *testing.T, whose string, event auditv1.Event) {
	t.Helper()
	if slices.ContainsFunc(event.SourceIPs, func(ip string) bool { return ip != "127.0.0.1" && ip != "::1" }) {
		t.Errorf("%s's audit: source addresses %q", whose, event.SourceIPs)
	}
	if event.AuditID == "forged" || event.AuditID == "" {
		t.Errorf("%s's audit: ID %q", whose, event.AuditID)
	}
}

func TestCertificatesAndFrontProxyHeadersOpenNothingOutside(t *testing.T) {
	cert, key, err := shared.Cluster().IssueClientCert("kubernetes-admin", []string{"system:masters"})
	if err != nil {
		t.Fatal(err)
	}
	frontProxy, err := shared.Cluster().FrontProxyCA().IssueClient("front-proxy-client")
	if err != nil {
		t.Fatal(err)
	}
	ports := append(rawPorts(t),
		newRawPort(t, "with an admin's certificate", shared.EndpointURL(), keyPair(t, controlplane.KeyPair{Cert: cert, Key: key})),
		newRawPort(t, "with the aggregator's certificate", shared.EndpointURL(), keyPair(t, frontProxy)))
	for _, p := range ports {
		t.Run(p.name, func(t *testing.T) {
			answer := p.send(t, http.MethodPost, clusterPath+reviewPath, reviewBody,
				"X-Remote-User: kubernetes-admin", "X-Remote-Group: system:masters", "X-Remote-Uid: 1", "X-Remote-Extra-A: b")
			answer.wantStatus(t, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "no credential")
		})
	}
}

func TestBearerSubprotocolAuthenticates(t *testing.T) {
	claims := mallory()
	agent := uniqueAgent()
	encoded := base64.RawURLEncoding.EncodeToString([]byte(sign(t, claims)))
	answer := rawPorts(t)[0].send(t, http.MethodGet, clusterPath+"/api/v1/namespaces/default/pods/none/exec?command=id", "",
		"User-Agent: "+agent, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
		"Sec-WebSocket-Protocol: v5.channel.k8s.io, base64url.bearer.authorization.k8s.io."+encoded)
	answer.wantStatus(t, http.StatusForbidden, metav1.StatusReasonForbidden, claims.Subject)
	wantAudited(t, agent, claims)
}

func TestImpersonationWithoutPermissionIsRefused(t *testing.T) {
	token := sign(t, mallory())
	for name, lines := range map[string][]string{
		"user":            {"Impersonate-User: admin"},
		"group":           {"Impersonate-User: loft:user:mallory", "Impersonate-Group: system:masters"},
		"UID":             {"Impersonate-User: loft:user:mallory", "Impersonate-Uid: 0"},
		"extra":           {"Impersonate-User: loft:user:mallory", "Impersonate-Extra-Scopes: all"},
		"in other cases":  {"impersonate-user: admin", "IMPERSONATE-GROUP: system:masters"},
		"service account": {"Impersonate-User: " + agentUser},
	} {
		for _, p := range rawPorts(t) {
			t.Run(p.name+" "+name, func(t *testing.T) {
				answer := p.send(t, http.MethodPost, clusterPath+reviewPath, reviewBody, append(lines, bearer(token))...)
				answer.wantStatus(t, http.StatusForbidden, metav1.StatusReasonForbidden, "loft:user:mallory", "impersonate")
			})
		}
	}
}

func TestMalformedImpersonationIsRefused(t *testing.T) {
	token := sign(t, mallory())
	for name, lines := range map[string][]string{
		"group without user": {"Impersonate-Group: dev"},
		"UID without user":   {"Impersonate-Uid: 1"},
		"extra without user": {"Impersonate-Extra-Scopes: all"},
		"empty user":         {"Impersonate-User:", "Impersonate-Group: dev"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := rawPorts(t)[0].send(t, http.MethodPost, clusterPath+reviewPath, reviewBody, append(lines, bearer(token))...)
			answer.wantStatus(t, http.StatusBadRequest, metav1.StatusReasonBadRequest)
			answer.wantCORS(t)
		})
	}
}

func TestImpersonationWithPermissionWorks(t *testing.T) {
	boss := person("boss")
	allowImpersonation(t, boss.Subject)
	token := sign(t, boss)
	for _, p := range rawPorts(t) {
		t.Run(p.name, func(t *testing.T) {
			got := whoami(t, p, clusterPath, bearer(token), "Impersonate-User: bob", "Impersonate-Group: builders",
				"Impersonate-Uid: 7", "Impersonate-Extra-Scopes: few")
			sameUser(t, authenticationv1.UserInfo{
				Username: "bob", UID: "7", Groups: []string{"builders", "system:authenticated"},
				Extra: map[string]authenticationv1.ExtraValue{"scopes": {"few"}},
			}, got)
			answer := p.send(t, http.MethodPost, clusterPath+reviewPath, reviewBody, bearer(token), "Impersonate-User: carol")
			answer.wantStatus(t, http.StatusForbidden, metav1.StatusReasonForbidden, "carol")
		})
	}
}

// allowImpersonation lets user be bob of the builders with UID 7 and scope "few".
func allowImpersonation(t *testing.T, user string) {
	t.Helper()
	admin := client(t, shared.Cluster().RESTConfig())
	roles, bindings := admin.RbacV1().ClusterRoles(), admin.RbacV1().ClusterRoleBindings()
	const name = "e2e-impersonate-bob"
	rule := func(group, resource, value string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: []string{value}, Verbs: []string{"impersonate"}}
	}
	_, err := roles.Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules: []rbacv1.PolicyRule{
			rule("", "users", "bob"), rule("", "groups", "builders"),
			rule("authentication.k8s.io", "uids", "7"), rule("authentication.k8s.io", "userextras/scopes", "few"),
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = roles.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) })
	_, err = bindings.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bindings.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) })
}
