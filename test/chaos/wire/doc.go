// Package wire holds what lies between processes and can break: a TCP path that goes silent, a
// balancer that knows which agents are ready, and an API server that fails at single requests.
//
// What surprises: a silent path keeps connections open and takes new ones, as the kernel of a host
// that dropped off the network cannot; to a client it is the same, but for resets that never come.
package wire
