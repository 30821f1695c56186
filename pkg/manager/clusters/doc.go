// Package clusters keeps connected clusters as their Cluster objects say: connected, with an agent, its
// trust bundle and people's bindings, and with a direct endpoint that is known to work or not.
//
// There are four kinds of work, each with queues and workers of its own (package lanes), so that none
// waits behind another:
//
//   - agent: connect → install → ready (step_connect.go, step_install.go, step_ready.go), or, for a
//     Cluster that is being deleted, removal (step_removal.go)
//   - trust: push the trust bundle (step_trust.go)
//   - access: role bindings (step_access.go), and whether a ClusterAccess has all of its own (bound.go)
//   - endpoint: probe the direct endpoint (step_endpoint.go)
//
// handlers.go says what change leads to which work; controller.go runs it.
//
// What surprises:
//   - It runs in the leader alone, but nothing breaks where two managers run it for a while: every write
//     is an apply that may be repeated, and each kind of work owns its part of the status.
//   - Nothing is watched in connected clusters. Each is looked at again every few minutes, which repairs
//     what somebody changed there.
//   - A cluster that cannot be reached moves to lanes of the dead, and back when it answers. Trust is
//     pushed to it with its next try, a minute later at most.
//   - The kubeconfig is looked at with each pass, and before anything else who answers: see hosts.
package clusters
