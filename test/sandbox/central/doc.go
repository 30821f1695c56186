// Package central runs a whole installation as local processes: a central cluster with the manager,
// connected clusters in which the manager installs the agent, two people with access keys. Each
// connected cluster is a sandbox.Sandbox.
//
// What surprises: no kubelet runs, so manager and agents are no pods. The manager applies the agent's
// Deployment all the same; what runs is a process beside the cluster, with the account and the trust
// bundle that the manager put there. The Service and the APIService that lead to it carry an
// annotation that has the manager leave them alone.
package central
