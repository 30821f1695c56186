// Package kubernetes serves the resource "kubernetes" of cluster.loft.sh: one object named
// "cluster", which says what the agent knows about itself and the cluster that it runs in,
// and its subresource "proxy".
//
// What surprises: nothing is stored. The object is made anew for each request, so it has
// no resource version and cannot be watched. And the storage of the subresource forwards
// nothing: see ProxyREST.
package kubernetes
