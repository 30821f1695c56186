package cli_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// endpoint starts what may stand at a cluster's endpoint: "agent" (the cluster's own), "down" (an
// agent that cannot serve), "page" (some web server), "silent" (it never answers).
func (m *fakeManager) endpoint(kind, cluster string) *httptest.Server {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch kind {
		case "agent":
			serveAgent(w, r, cluster)
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
func serveAgent(w http.ResponseWriter, r *http.Request, cluster string) {
	var claims struct {
		Sub, Aud, Jti string
		Exp           int64
	}
	parts := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	if len(parts) == 3 {
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(payload, &claims)
	}
	switch {
	case claims.Aud != cluster && claims.Aud != "*" || claims.Exp <= time.Now().Unix():
		refuse(w, http.StatusUnauthorized, "Unauthorized")
	case r.URL.Path == "/kubernetes/cluster/version":
		answer(w, map[string]string{"major": "1", "gitVersion": "v1.37.2"})
	default:
		answer(w, map[string]string{"way": "direct", "cluster": cluster, "user": claims.Sub, "token": claims.Jti})
	}
}

// encodeCA is a certificate as the annotation of a Cluster has it.
func encodeCA(der []byte) string { return base64.StdEncoding.EncodeToString(encodePEM(der)) }
