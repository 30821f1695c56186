// Package sleepmodeconfigs serves the resource "sleepmodeconfigs" of cluster.loft.sh: how a namespace
// sleeps, as a view of its annotations.
//
// What surprises:
//   - There is exactly one in every namespace, named "config". Creating it updates it: clients of the
//     2.x generation read the one, change it and post the whole of it back.
//   - A post is not held to the resource version in it. The agent itself writes the namespace whenever
//     there was activity, and those clients don't try again. An update is held to it.
//   - Of the status only lastActivity is taken, and only where it is newer: that is how a person wakes
//     a namespace. All else there is the agent's to say.
//   - Who may do what is asked of the API server for sleepmodeconfigs in the namespace, before any of
//     this runs; the write itself is the agent's.
package sleepmodeconfigs
