// Package result holds what a bench run found: its cells, as JSON for machines and as a table for
// people, the goals, and the comparison of two runs.
//
// What surprises: a ratio is taken in each round, between cells that ran seconds apart, and the
// median over the rounds is the result. So what else a shared machine does cancels, and the ratio of
// two runs' medians is not the ratio that is shown.
package result
