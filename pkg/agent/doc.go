// Package agent is the agent: an aggregated API server in a connected cluster that serves the
// cluster's own API to people directly.
//
// Read it in this order: command.go (flags in, server out) → options.go (what can be set) →
// config.go (what follows from it) → server.go (what is built and run) → routes.go (the doors).
// Its subpackages: direct (where the doors are and who may use them), authn (who made a request),
// audit (the built-in policy), trust (the bundle of keys that direct tokens are verified with),
// registry (the aggregated API, door 2). The chain of filters that both doors share is pkg/door's.
//
// What surprises: there are three listeners. The inner one (8443) is the generic API server's and
// trusts the aggregator. The two outer ones (10443, 8080) trust tokens alone: an administrator's
// client certificate or a front-proxy header opens nothing there.
package agent
