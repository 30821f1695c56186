// Package activity decides which requests keep a namespace awake, and remembers the last of each
// namespace until it is written to the namespace's annotations.
//
// In the order the code runs: rules.go compiles a namespace's ignore-… annotations; request.go
// decides whether a request counts; book.go holds a record for each namespace and is what the chain
// calls; flusher.go writes records to the API server.
//
// What surprises:
//   - Opening a watch never counts, nor does a list at a resource version: both are how informers read,
//     and a k9s left open would keep everything awake. People's lists ask for no version.
//   - Requests of "system:" users never count: service accounts, nodes and controllers work all night.
//   - The namespace itself, its space and its SleepModeConfig are not in the namespace: who looks at
//     them, or puts it to sleep, does not wake it.
//   - An open exec, attach or port-forward keeps a namespace awake and wakes none: when the namespace
//     is put to sleep under it, what it leads to is gone.
package activity
