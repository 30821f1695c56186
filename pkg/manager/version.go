package manager

import (
	"encoding/json"
	"net/http"

	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/component-base/version"
)

// generation is the major version of what clients of the manager can rely on. Clients of the second
// generation refuse the first.
const generation = "3"

// versionInfo is the API server's answer, and what 2.x clients read.
type versionInfo struct {
	apimachineryversion.Info `json:",inline"`

	Version string `json:"version"`
}

// serveVersion answers anyone.
func serveVersion(w http.ResponseWriter, _ *http.Request) {
	info := versionInfo{Info: version.Get()}
	info.Major, info.Version = generation, info.GitVersion
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(info) // who has left is told nothing
}
