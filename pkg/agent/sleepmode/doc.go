// Package sleepmode lets namespaces sleep while nobody uses them.
//
// Read it in this order: annotations (settings and state of a namespace) → schedule (when cron
// expressions fire) → activity (which requests count, and who made the last one) → decision (what is to
// become of a namespace) → workload (taking and giving back what runs) → controller (does it, in one
// replica at a time) → wake (holds requests for what sleeps). This package puts them together:
// options.go has the flags, mode.go what runs.
//
// What surprises: every replica notes activity and holds requests, but one alone puts to sleep and
// wakes. They talk through the annotations of the namespaces.
package sleepmode
