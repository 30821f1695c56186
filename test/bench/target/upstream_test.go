package target

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const auditRecords = `{"stage":"ResponseComplete","verb":"get","requestURI":"/api/v1/x","user":{"username":"agent"},"impersonatedUser":{"username":"bench"},"objectRef":{"resource":"configmaps"}}
{"stage":"ResponseComplete","verb":"create","requestURI":"/apis","user":{"username":"agent"},"objectRef":{"resource":"subjectaccessreviews"}}
{"stage":"ResponseStarted","verb":"watch","requestURI":"/api","user":{"username":"agent"},"objectRef":{"resource":"configmaps"}}
{"stage":"ResponseComplete","verb":"get","requestURI":"/readyz","user":{"username":"agent"}}
{"stage":"ResponseComplete","verb":"get","requestURI":"/api","user":{"username":"other"},"impersonatedUser":{"username":"agent"}}
`

func TestUpstreamCountsOneUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	write := func(content string) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(content); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"stage":"ResponseComplete","verb":"get","user":{"username":"agent"}}` + "\n") // before
	u, err := openUpstream(path)
	if err != nil {
		t.Fatal(err)
	}
	defer u.file.Close()
	write(auditRecords)
	got, err := u.Count("agent")
	if err != nil {
		t.Fatal(err)
	}
	want := Count{Requests: 3, Own: map[string]int{"create subjectaccessreviews": 1, "get /readyz": 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("count (-want +got):\n%s", diff)
	}
	again, err := u.Count("agent")
	if err != nil || again.Requests != 0 {
		t.Errorf("counted again: got %d, %v; want 0", again.Requests, err)
	}
}
