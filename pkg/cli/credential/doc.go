// Package credential hands kubectl its token: the direct endpoint token of a cluster, kept and renewed
// in time, in the form of an exec credential.
//
// What surprises:
//
//   - Many kubectls ask at once. One of them asks the manager, under a lock per cluster; the others
//     find its token when they get the lock, or that it failed a moment ago, which is kept in the lock
//     file: fifty that wait for a dead manager one after the other would take minutes.
//   - A manager that does not answer is no reason to fail while a token lives. A manager that says no
//     is: its refusal ends the use of what is kept.
//   - kubectl is told that a token ends when it is to be renewed, so that programs which run for days
//     ask again in time.
package credential
