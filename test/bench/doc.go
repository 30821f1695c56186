// Package bench measures what the direct endpoint costs: it asks the API server itself, the endpoint,
// nginx and kubectl proxy for the same things, and says what each adds in time, processor and memory.
//
// A run goes through: idle watches first, while nothing has filled the agent's heap; then rounds, in
// each of which every cell (work, client, workers) is measured on every target, one right after the
// other; then watches; then profiles of the loaded agent, outside of everything that is timed.
//
// What surprises: a cell takes 50 ms, and there are many rounds of them: on a shared machine two cells
// of 200 ms differ by a third, so a few long ones tell less than many short ones. The order of the
// targets changes from round to round, ratios are taken within a round and the median over the rounds
// counts. Each cell begins with requests that are not counted, and the client collects its
// garbage between cells and hardly within one.
package bench
