// Package door is the chain of filters that every door of agent and manager has in common: a request
// below a prefix is a request to an API server behind it.
//
// In the order the code runs: chain.go lists the filters; target.go parses the path once into a
// Target, with the Destination that a Locator names for it; a file each holds a filter; handler.go is
// the last stop, which hands the request to pkg/proxy. What differs between doors is behind small
// interfaces: who made a request (Authenticator), what may be done (Access), where it goes (Locator).
//
// What surprises:
//   - From the first filter on, the request *is* the inner one: its URL, its request info. So audit
//     rules, impersonation checks and long-running detection see "pods in team-a", not a proxy.
//   - Access is asked about the person who authenticated, not about whomever that person
//     impersonates; the RBAC of the cluster behind decides the inner request.
//   - Access is asked again while a stream is open. The API server behind does not: it keeps
//     delivering to a watch whose person may not do anything any more.
package door
