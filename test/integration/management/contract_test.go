package management

import (
	"net/http"
	"testing"
)

// TestSelf is the answer to who asks.
func TestSelf(t *testing.T) {
	a := ask(t, env.keys["alice"], http.MethodPost, api+"/selves", `{"kind":"Self","apiVersion":"management.loft.sh/v1","metadata":{"creationTimestamp":null},"spec":{},"status":{}}`)
	if a.code != http.StatusCreated {
		t.Fatalf("code %d: %s", a.code, a.raw)
	}
	for path, want := range map[string]string{
		"kind": "Self", "apiVersion": "management.loft.sh/v1", "status.user.name": "alice", "status.user.displayName": "The alice",
		"status.accessKey": "alice", "status.accessKeyType": "Login",
	} {
		if got := a.at(path); got != want {
			t.Errorf("%s = %q, want %q: %s", path, got, want, a.raw)
		}
	}
}
