// Package load puts load on an endpoint: requests at a fixed rate, and watches that are opened again
// when they end.
//
// What surprises: the rate does not wait for answers (an open loop), so a server that stalls is seen
// as the clients' own latency, and not as fewer requests. Clients are plain HTTP: client-go would
// hide a refusal behind its own retries.
package load
