// Package rights finds the namespaces that a person may see, from the cluster's RBAC held in memory.
//
// What surprises:
//   - It answers lists alone. Whether somebody may read or change one namespace is asked of the API
//     server, which may have other authorizers than RBAC; what only those allow is missing from lists.
//   - A person sees a namespace who may get it, by a binding in the cluster or in that namespace. The
//     right to get spaces says nothing: everybody has it, since the API server asks for it first.
package rights
