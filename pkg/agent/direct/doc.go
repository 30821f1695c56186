// Package direct is door 1, and the chain that door 2 shares with it: a request below a prefix
// is a request to an API server behind it.
//
// In the order the code runs: target.go parses the path once into a Target; chain.go is the list
// of filters; handler.go is the last stop, which hands the request to pkg/proxy.
//
// What surprises:
//   - From the first filter on, the request *is* the inner one: its URL, its request info. So audit
//     rules, impersonation checks and long-running detection see "pods in team-a", not a proxy.
//   - The right to use the endpoint is asked for the person who authenticated, not for whomever
//     that person impersonates; the host's RBAC decides the inner request.
package direct
