package cli_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// endpoint starts what may stand at a cluster's endpoint: "agent" (the cluster's own), "proxy" (the
// same behind one that knows no upgrades and cuts what is silent for a second), "late" (the same with
// a clock that is 10 minutes ahead), "strict" (one that permits nothing), "down" (an agent that cannot
// serve), "page" (some web server), "silent" (it never answers).
func (m *fakeManager) endpoint(kind, cluster string) *httptest.Server {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch kind {
		case "agent", "strict":
			serveAgent(w, r, cluster, kind == "strict")
		case "proxy":
			ctx, cancel := context.WithTimeout(r.Context(), time.Second)
			defer cancel()
			r.Header.Del("Upgrade")
			serveAgent(w, r.WithContext(ctx), cluster, false)
		case "late":
			w.Header().Set("Date", time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat))
			serveAgent(w, r, cluster, false)
		case "down":
			refuse(w, http.StatusServiceUnavailable, "the host cluster does not answer")
		case "page":
			_, _ = io.WriteString(w, "<html>Welcome to nginx!</html>")
		case "silent":
			<-r.Context().Done()
		}
	})
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	m.t.Cleanup(server.Close)
	return server
}

// serveAgent takes tokens for its cluster that have not ended.
func serveAgent(w http.ResponseWriter, r *http.Request, cluster string, strict bool) {
	var claims struct {
		Sub, Aud, Jti string
		Exp           int64
	}
	parts := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	if len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(payload, &claims)
	}
	path := strings.TrimPrefix(r.URL.Path, "/kubernetes/cluster")
	switch {
	case path == "/healthz":
		_, _ = io.WriteString(w, "ok")
	case claims.Aud != cluster && claims.Aud != "*" || claims.Exp <= time.Now().Unix():
		refuse(w, http.StatusUnauthorized, "Unauthorized")
	case strict:
		refuse(w, http.StatusForbidden, "alice may not create kubernetes/proxy")
	case path == "/version":
		answer(w, map[string]string{"major": "1", "gitVersion": "v1.37.2"})
	case strings.HasSuffix(path, "/selfsubjectreviews"):
		created(w, &authenticationv1.SelfSubjectReview{Status: authenticationv1.SelfSubjectReviewStatus{
			UserInfo: authenticationv1.UserInfo{Username: claims.Sub}}})
	case r.Header.Get("Upgrade") == "websocket" && r.Header.Get("Origin") == "": // as an API server
		w.WriteHeader(http.StatusForbidden)
	case r.Header.Get("Upgrade") != "":
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
		w.WriteHeader(http.StatusSwitchingProtocols)
	case strings.HasSuffix(path, "/portforward"):
		refuse(w, http.StatusBadRequest, "Upgrade request required")
	case r.URL.Query().Has("watch"):
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case path == "/api/v1/pods":
		answer(w, &corev1.PodList{Items: []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "web"}}}})
	default:
		answer(w, map[string]string{"way": "direct", "cluster": cluster, "user": claims.Sub, "token": claims.Jti})
	}
}

// encodeCA is a certificate as the annotation of a Cluster has it.
func encodeCA(der []byte) string { return base64.StdEncoding.EncodeToString(encodePEM(der)) }
