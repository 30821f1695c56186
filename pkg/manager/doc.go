// Package manager is the central instance: an aggregated API server that knows the connected clusters
// and the people, issues direct endpoint tokens, installs and feeds the agents, and is the slow way to
// clusters without an endpoint.
//
// Read it in this order: command.go (flags in, server out) → options.go (what can be set) →
// config.go (what follows from it) → chains.go (who is let in where) → server.go (what is built and
// run) → routes.go (the doors). Its subpackages: authn (who made a request), access (who may what),
// accesskey (secrets of keys), registry (the management API), connection (how a cluster is reached).
//
// What surprises: nothing is kept but custom resources of the central cluster, so any number of
// managers serve. There are three listeners. The inner one (8443) is the generic API server's and
// trusts the aggregator. The two outer ones (10443, 8080) take bearer tokens alone, and serve the
// management API below a prefix.
package manager
