// Package kubectl is what people do with kubectl, as tests: the same list runs through each door of the
// agent and through the manager's gateway.
//
// What surprises: it holds no test of its own. A test names the way to the cluster, and the list looks
// past it, at the API server itself, for what became of each command.
package kubectl
