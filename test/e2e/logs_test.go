package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"loft.sh/agent/test/sandbox"
)

// TestAccessLogAsJSON reads what an agent writes of a request; no line holds the token.
func TestAccessLogAsJSON(t *testing.T) {
	replica, err := shared.StartReplica(t.Context(), sandbox.ReplicaOptions{Name: "json", Args: []string{"--logging-format=json", "--v=3"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := replica.Stop(time.Minute); err != nil {
			t.Error(err)
		}
	})
	token := sign(t, person("logged"))
	port := rawPort{name: "replica", address: strings.TrimPrefix(replica.EndpointHTTPURL(), "http://")}
	answer := port.send(t, http.MethodGet, clusterPath+"/api/v1/namespaces/default/pods/p/exec?command=secret", "", bearer(token))
	var line struct {
		Door, Method, Path, User, AuditID string
		Code                              int
		Duration                          any
	}
	await(t, func(context.Context) error {
		content, err := os.ReadFile(filepath.Join(replica.Dir(), "agent.log"))
		if err != nil {
			return err
		}
		if strings.Contains(string(content), token) || strings.Contains(string(content), "command=secret") {
			t.Fatal("the log holds the token or the command")
		}
		for text := range strings.Lines(string(content)) {
			if strings.Contains(text, `"msg":"Request"`) && strings.Contains(text, "/exec") {
				return json.Unmarshal([]byte(text), &line)
			}
		}
		return errors.New("no such line")
	})
	if line.Door != "direct" || line.Method != http.MethodGet || line.Path != "/api/v1/namespaces/default/pods/p/exec" ||
		line.User != "loft:user:logged" || line.Code != answer.code || line.Duration == nil || line.AuditID != answer.header.Get("Audit-Id") {
		t.Errorf("line %+v of answer %d with audit ID %q", line, answer.code, answer.header.Get("Audit-Id"))
	}
}
