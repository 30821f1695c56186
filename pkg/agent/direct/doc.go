// Package direct is what the agent's two doors have of their own: where they are, what flags configure
// the outer listeners, and who may use them. The chain of filters is pkg/door's.
//
// In the order the code runs: doors.go names the doors and their metrics; access.go asks the host
// cluster who may use them, and remembers the answers in permits.go; counter.go counts what was allowed.
//
// What surprises: a known token is let through while the host cannot be asked (see permits.go). What
// the person may do behind the door the host decides anyhow, with each request.
package direct
