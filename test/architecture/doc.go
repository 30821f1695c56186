// Package architecture holds the rules of the tree that no compiler knows: who may import
// whom, how long a file may be, that each package says what it is for. They run without a
// cluster, with all other tests.
//
// What surprises: each rule is a function from packages or files to violations, and is
// first shown a small example that breaks it. A rule that has never been seen to fail
// proves nothing.
package architecture
