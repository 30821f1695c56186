// Package chaos is the harness of faults under load: what a row is, the sandbox and agents that rows
// work on, and the report. The rows themselves lie in the packages below it, one a kind of fault,
// and the program in cmd/chaos lists them all.
//
// What surprises: all rows share one cluster, and each starts agents of its own in it, so that an
// agent's goroutines and memory are those of one row. Rows run one after the other. Without --short
// a row lasts as long as its promise says; with it, as long as it takes to see the fault work.
package chaos
