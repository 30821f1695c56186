package cli_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	managementv1 "loft.sh/agent/apis/management/v1"
	storagev1 "loft.sh/agent/apis/storage/v1"
)

// fakeManager speaks as much of the manager's interface as refusals and troubles need that a real
// one does not give on demand.
type fakeManager struct {
	t             testing.TB
	server, plain *httptest.Server

	mu       sync.Mutex
	keys     map[string]fakeKey // by secret
	clusters map[string]*managementv1.Cluster
	spaces   map[string]fakeSpaces // by cluster
	status   int                   // answers everything, if not 0
	skew     time.Duration         // of the clock, as its answers show it
	lifetime time.Duration         // of tokens
	noTokens string                // why no token is issued
	issued   int                   // tokens since the last look
	stuck    bool                  // no space falls asleep
	made     int                   // keys
}

// fakeKey is an access key.
type fakeKey struct{ name, kind, user string }

func newFakeManager(t testing.TB) *fakeManager {
	m := &fakeManager{t: t, lifetime: 24 * time.Hour, keys: map[string]fakeKey{
		"alice-key": {"alice-1", "", "alice"},
		"old-login": {"login-0", storagev1.AccessKeyTypeLogin, "alice"},
		"bob-key":   {"bob-1", "", "bob"},
		"id.token.": {"", "", "alice"},
	}, clusters: map[string]*managementv1.Cluster{}, spaces: map[string]fakeSpaces{"asia": {}, "eu": {}, "us": {}}}
	for i, name := range []string{"asia", "eu", "us"} {
		m.clusters[name] = &managementv1.Cluster{ObjectMeta: metav1.ObjectMeta{
			Name: name, CreationTimestamp: metav1.NewTime(time.Now().Add(-time.Duration(i+1) * 24 * time.Hour)),
		}}
	}
	m.clusters["asia"].Spec.DisplayName, m.clusters["us"].Spec.DisplayName = "Far away", "Far away"
	m.clusters["eu"].Spec.DisplayName = "Europe"
	m.server, m.plain = httptest.NewUnstartedServer(m), httptest.NewServer(m)
	m.server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that break off
	m.server.StartTLS()
	t.Cleanup(m.server.Close)
	t.Cleanup(m.plain.Close)
	return m
}

func (m *fakeManager) ca() []byte { return encodePEM(m.server.Certificate().Raw) }

func (m *fakeManager) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *fakeManager) answers(status int) { m.set(func() { m.status = status }) }

func (m *fakeManager) annotate(cluster string, annotations map[string]string) {
	m.set(func() { m.clusters[cluster].Annotations = annotations })
}

func (m *fakeManager) takeTokens() (issued int) {
	m.set(func() { issued, m.issued = m.issued, 0 })
	return issued
}

func (m *fakeManager) has(secret string) (found bool) {
	m.set(func() { _, found = m.keys[secret] })
	return found
}

const managementPath = "/kubernetes/management/apis/management.loft.sh/v1/"

func (m *fakeManager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if agent := r.UserAgent(); !strings.HasPrefix(agent, "loftctl/") && !strings.HasPrefix(agent, "get/") && !strings.HasPrefix(agent, "Go-http-client") {
		m.t.Errorf("user agent %q", agent)
	}
	w.Header().Set("Date", time.Now().Add(m.skew).UTC().Format(http.TimeFormat))
	if m.status != 0 {
		refuse(w, m.status, "the manager is out of order")
		return
	}
	if r.URL.Path == "/version" {
		answer(w, map[string]string{"version": "v3.0.0", "major": "3"})
		return
	}
	secret := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	key, known := m.keys[secret]
	if !known {
		refuse(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	if inner, ok := strings.CutPrefix(r.URL.Path, "/kubernetes/cluster/"); ok {
		cluster, path, _ := strings.Cut(inner, "/")
		if m.spaces[cluster].serve(m, w, r, path) {
			return
		}
		answer(w, map[string]string{"way": "manager", "cluster": cluster, "user": key.user, "gitVersion": "v1.37.2"})
		return
	}
	resource, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, managementPath), "/")
	m.management(w, r, key, resource, name)
}

func (m *fakeManager) management(w http.ResponseWriter, r *http.Request, key fakeKey, resource, name string) {
	switch r.Method + " " + resource {
	case "POST selves":
		m.self(w, key)
	case "GET clusters":
		m.getClusters(w, key, name)
	case "GET teams":
		answer(w, &managementv1.TeamList{TypeMeta: typeMeta("TeamList"), Items: []managementv1.Team{
			{ObjectMeta: metav1.ObjectMeta{Name: "devs"}, Spec: storagev1.TeamSpec{DisplayName: "Developers"}},
		}})
	case "POST ownedaccesskeys":
		m.made++
		secret := fmt.Sprintf("made-%d", m.made)
		m.keys[secret] = fakeKey{secret, storagev1.AccessKeyTypeLogin, key.user}
		answer(w, &managementv1.OwnedAccessKey{TypeMeta: typeMeta("OwnedAccessKey"),
			ObjectMeta: metav1.ObjectMeta{Name: secret}, Spec: managementv1.OwnedAccessKeySpec{Key: secret, Type: storagev1.AccessKeyTypeLogin}})
	case "DELETE ownedaccesskeys":
		for secret, candidate := range m.keys {
			if candidate.name == name && candidate.user == key.user {
				delete(m.keys, secret)
			}
		}
		answer(w, &metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
	case "POST directclusterendpointtokens":
		m.token(w, r, key)
	default:
		refuse(w, http.StatusNotFound, "the server could not find the requested resource")
	}
}

func (m *fakeManager) self(w http.ResponseWriter, key fakeKey) {
	answer(w, &managementv1.Self{TypeMeta: typeMeta("Self"), Status: managementv1.SelfStatus{
		User: &managementv1.UserInfo{EntityInfo: managementv1.EntityInfo{Name: key.user},
			Teams: []managementv1.EntityInfo{{Name: "devs"}}},
		AccessKey: key.name, AccessKeyType: key.kind, Subject: "loft:user:" + key.user,
		Groups: []string{"loft:user:" + key.user, "loft:team:devs"},
	}})
}

// getClusters lets bob use us alone.
func (m *fakeManager) getClusters(w http.ResponseWriter, key fakeKey, name string) {
	allowed := func(cluster string) bool { return key.user != "bob" || cluster == "us" }
	if name == "" {
		list := &managementv1.ClusterList{TypeMeta: typeMeta("ClusterList")}
		for _, name := range []string{"asia", "eu", "us"} {
			if allowed(name) {
				list.Items = append(list.Items, *m.clusters[name])
			}
		}
		answer(w, list)
		return
	}
	cluster, found := m.clusters[name]
	switch {
	case !allowed(name):
		refuse(w, http.StatusForbidden, "forbidden")
	case !found:
		refuse(w, http.StatusNotFound, "not found")
	default:
		full := *cluster
		full.TypeMeta = typeMeta("Cluster")
		answer(w, &full)
	}
}

func (m *fakeManager) token(w http.ResponseWriter, r *http.Request, key fakeKey) {
	var asked managementv1.DirectClusterEndpointToken
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	m.issued++
	if m.noTokens != "" {
		refuse(w, http.StatusForbidden, m.noTokens)
		return
	}
	audience := "*"
	if scope := asked.Spec.Scope; scope != nil && len(scope.Clusters) == 1 {
		audience = scope.Clusters[0].Cluster
	}
	end := metav1.NewTime(time.Now().Add(m.lifetime))
	answer(w, &managementv1.DirectClusterEndpointToken{TypeMeta: typeMeta("DirectClusterEndpointToken"),
		Status: managementv1.DirectClusterEndpointTokenStatus{Token: fakeToken(key.user, audience, m.issued, end.Time), ExpirationTimestamp: &end}})
}

// fakeToken looks like a JWT, and nobody has signed it.
func fakeToken(user, audience string, number int, end time.Time) string {
	payload := fmt.Sprintf(`{"sub":%q,"aud":%q,"jti":"%d","exp":%d}`, "loft:user:"+user, audience, number, end.Unix())
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{Kind: kind, APIVersion: managementv1.SchemeGroupVersion.String()}
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func created(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	reason := map[int]metav1.StatusReason{401: metav1.StatusReasonUnauthorized, 403: metav1.StatusReasonForbidden, 404: metav1.StatusReasonNotFound}[code]
	_ = json.NewEncoder(w).Encode(&metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message})
}
