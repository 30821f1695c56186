// Package sandbox runs one connected cluster and its agent as local processes: a real control
// plane, the agent's manifests applied to it, the agent registered as an APIService and reaching
// the API server as service account loft/loft-agent with the RBAC of artifacts/agent.
//
// What surprises: the agent is not a pod. A Service of type ExternalName points the aggregator to
// it, since Endpoints refuse loopback addresses. The key that signs direct endpoint tokens lies in
// the sandbox's directory, where the manager's would be in its own cluster.
package sandbox
