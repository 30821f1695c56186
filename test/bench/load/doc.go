// Package load sends requests in a closed loop and says how long they took: clients that speak
// exactly one protocol, workers that each wait for an answer before they ask again, and the
// statistics of both.
//
// What surprises: over HTTP/2 all workers of a client share one connection, as client-go's do; over
// HTTP/1.1 each has its own. Nothing is asked for compressed: what a proxy costs shows in the bytes
// that it moves. A client reads into one buffer per worker and keeps nothing, so that what is
// measured is the server and not the reader.
package load
