// Package listen serves HTTP to strangers: what the listeners of agent and manager share, and the
// server of the outer ones.
//
// In the order the code runs: listener.go accepts connections within a limit; server.go serves them
// within bounds of time; shutdown.go is how it ends, and drain.go moves clients away before.
// certificates.go watches over the serving certificates.
//
// What surprises:
//   - The generic API server could serve the outer listeners too, but its HTTP server cannot be
//     configured: it has no deadline for writes, no pings on HTTP/2, no limit of connections and
//     three minutes between TCP keep-alives. So Server is an own one, with the same TLS settings.
//   - Deadlines are the server's, for every request; the door takes them off a long-running one.
//     So what is forgotten is bounded.
package listen
