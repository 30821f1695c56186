// Package integration tests what stands between the agent and a real API server: its manifests and
// the rights that they give.
package integration
