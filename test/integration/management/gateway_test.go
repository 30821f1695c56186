package management

import (
	"net/http"
	"testing"
)

// TestTheWaysToAClusterThatIsNotThere: each door to a cluster asks who it is, then says what is wrong.
func TestTheWaysToAClusterThatIsNotThere(t *testing.T) {
	addCluster(t, "unconnected", nil)
	for name, path := range map[string]string{
		"door":        "/kubernetes/cluster/unconnected/api/v1/namespaces",
		"subresource": api + "/clusters/unconnected/proxy/api/v1/namespaces",
	} {
		await(t, "admin is told that the cluster is not connected", func() bool {
			a := ask(t, env.keys["admin"], http.MethodGet, path, "")
			return a.code == http.StatusServiceUnavailable && a.at("kind") == "Status" && a.at("message") != ""
		})
		for who, want := range map[string]int{"alice": http.StatusForbidden, "nobody": http.StatusUnauthorized} {
			if a := ask(t, env.keys[who], http.MethodGet, path, ""); a.code != want || a.at("kind") != "Status" {
				t.Errorf("%s, %s: code %d, want %d: %s", name, who, a.code, want, a.raw)
			}
		}
	}
}
