// Package spaces serves the resource "spaces" of cluster.loft.sh: the namespaces of people, as a view.
//
// In the order to read: authorizer.go says who may do what; storage.go reads, write.go creates,
// changes and deletes; objects.go applies a space's manifests; watch.go follows namespaces; table.go
// is what kubectl shows.
//
// What surprises:
//   - A space is cluster-scoped, but who may use it is decided inside of the namespace of its name, so
//     that a role binding there is enough: to see it takes the right to get the namespace, to change it
//     the right to spaces/manage. The API server asks about spaces in the cluster before it passes a
//     request on, so everybody has those rights, and they are worth nothing here. A list leaves out what
//     its reader may not see.
//   - The namespace is made and changed by the agent's account: people need no right to namespaces.
//     Therefore labels and annotations of kubernetes.io and k8s.io, which other parts of the cluster
//     trust, are for those alone who may patch the namespace itself.
//   - Manifests are applied with the rights of who wrote them.
package spaces
