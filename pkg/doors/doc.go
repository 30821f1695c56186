// Package doors holds what every HTTP door of agent and manager has in common: which path leads where,
// whose word about a client's address is taken, and that browsers may read the answers.
//
// What surprises: routes are matched by whole segments of the path and nothing in a path is cleaned,
// so what a route was chosen by is what its handler sees.
package doors
