package target

import (
	"crypto/tls"
	"slices"

	"loft.sh/agent/test/bench/load"
)

// The names of the targets, in the order in which they are shown.
const (
	Direct   = "direct"
	Endpoint = "endpoint"
	Nginx    = "nginx"
	Kubectl  = "kubectl-proxy"
	// Certificate is the API server itself, asked with a client certificate and not with a token.
	Certificate = "direct-certificate"
)

// Names of all targets; the first is what the others are compared with.
func Names() []string { return append(DefaultNames(), Certificate) }

// DefaultNames are those of the targets that are measured where nothing else is said.
func DefaultNames() []string { return []string{Direct, Endpoint, Nginx, Kubectl} }

// Target is one way to the API server.
type Target struct {
	Name string
	// BaseURL is where the API's root is.
	BaseURL string
	// Token that a client sends; may be empty.
	Token string
	TLS   *tls.Config
	// User is who the API server sees as the sender of the requests.
	User string
	// PID of the proxy's first process; 0: there is none.
	PID int
	// OnlyHTTP1 is set where the target speaks no HTTP/2.
	OnlyHTTP1 bool

	pids []int
}

// Client makes a client of the target. One that speaks HTTP/1.1 alone is asked in that.
func (t *Target) Client(protocol load.Protocol) (*load.Client, error) {
	if t.OnlyHTTP1 {
		protocol = load.HTTP1
	}
	return load.NewClient(t.BaseURL, protocol, t.TLS, t.Token)
}

// Find returns the target with the name, or nil.
func Find(targets []*Target, name string) *Target {
	if i := slices.IndexFunc(targets, func(t *Target) bool { return t.Name == name }); i >= 0 {
		return targets[i]
	}
	return nil
}
