// Package access says who people are and which clusters, users and teams they may use or see.
//
// Directory answers from informers over the custom resources: teams of a user, who is named by a
// ClusterAccess. Policy puts the central cluster's own RBAC beside it: whoever has the verb "use" on
// a resource of management.loft.sh sees all of its objects, as administrators do.
//
// What surprises:
//   - A person is known by a user.Info and nothing else: name, groups and the extra field
//     ExtraAccessKey. So whom a client impersonates, and who comes through the aggregator, is the
//     same kind of person as who brought an access key.
//   - The scope of an access key is read from the key at each question, so that narrowing it counts
//     at once; a key that is gone allows nothing.
//   - Team membership is read from the teams at each question, too, and never from the groups of a
//     user.Info.
package access
