// Package audit holds the built-in audit policy of agent and manager, used where none is given.
//
// What surprises: rules see the *inner* request of a proxied one, so "pods in team-a" matches what
// a person did and not the proxy that carried it.
package audit

import (
	"fmt"
	"os"

	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
)

// defaultPolicy records who did what, and leaves out what nobody reads: health, discovery, and
// reads of events.
const defaultPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/version*", "/metrics"]
- level: None
  verbs: ["get"]
  nonResourceURLs: ["/", "/api", "/api/*", "/apis", "/apis/*", "/openapi/*"]
- level: None
  verbs: ["get", "list", "watch"]
  resources:
  - group: ""
    resources: ["events"]
  - group: events.k8s.io
    resources: ["events"]
- level: Metadata
`

// ApplyTo configures auditing as o says, with the built-in policy where o names none. It fails
// where a sink that was asked for cannot be had.
func ApplyTo(o *options.AuditOptions, config *genericserver.Config) error {
	if o.PolicyFile != "" {
		return o.ApplyTo(config)
	}
	// The options read a policy from a file alone, once, while they are applied.
	f, err := os.CreateTemp("", "audit-policy-*.yaml")
	if err != nil {
		return fmt.Errorf("built-in audit policy: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err := f.WriteString(defaultPolicy); err != nil {
		return fmt.Errorf("built-in audit policy: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("built-in audit policy: %w", err)
	}
	withPolicy := *o
	withPolicy.PolicyFile = f.Name()
	return withPolicy.ApplyTo(config)
}
