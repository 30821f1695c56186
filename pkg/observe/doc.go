// Package observe counts, times and traces the requests of the doors of agent and manager, each of
// which makes its own Metrics.
//
// In the order of a request: Start wraps the answer and counts the request as in flight; End counts
// it by what it was and how it was answered. bounded.go decides which label values exist.
//
// What surprises: nothing that a client writes becomes a label as it is. Verbs, codes and kinds come
// from fixed lists. A resource is counted by its name only after the API server has answered a
// request for it with success, and there is a limit to how many; everything else is "other". So a
// client cannot make series, which are kept forever, by asking for things that do not exist. And
// since every request passes here, all counters that fixed lists lead to are looked up once.
package observe
