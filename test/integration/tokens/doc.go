// Package tokens tests signing keys and issued tokens in a real central cluster, as the manager's own
// service account: with two managers at once, and with managers that are killed.
//
// What surprises: a manager that is to be killed is this test's own program, started once more.
package tokens
