// Package exhaust has the rows in which clients, by accident or on purpose, hold what the agent needs
// for others: connections, memory, its time.
//
// What surprises: honest clients are measured quiet right before each fault and again during it, in
// the same run, since the machine is shared with the load itself. Where making the load takes the
// whole machine, such as thousands of handshakes, and in the short forms, which run among other
// tests, they are held to seconds: a multiple of quiet milliseconds would say nothing of the agent.
package exhaust

import "loft.sh/agent/test/chaos"

// Rows returns the rows.
func Rows() []chaos.Row {
	return []chaos.Row{
		{
			Name:  "gone-watches",
			Fault: "clients of 1,000 watches are gone without a word",
			Run:   goneWatches,
		},
		{
			Name:  "killed-execs",
			Fault: "1,000 clients are killed in mid-exec",
			Quick: true, Alone: true,
			Run: killedExecs,
		},
		{
			Name:  "slow-readers",
			Fault: "500 clients read 20 MB lists at 1 KiB/s beside 20 honest clients",
			Quick: true, Alone: true,
			Run: slowReaders,
		},
		{
			Name:  "half-said",
			Fault: "5,000 connections say nothing, or half a header",
			Run:   halfSaid,
		},
		{
			Name:  "resets",
			Fault: "100,000 HTTP/2 requests are taken back at once, with and without a token",
			Quick: true, Alone: true,
			Run: resets,
		},
		{
			Name:  "huge-headers",
			Fault: "headers and bearer tokens of 1 MiB and more",
			Quick: true, Alone: true,
			Run: hugeHeaders,
		},
		{
			Name:  "huge-lists",
			Fault: "20 clients list 100 MB at the same time",
			Quick: true, Alone: true,
			Run: hugeLists,
		},
	}
}
