// Package proxy forwards an authenticated, authorised request to an API server as the person who
// made it. Every door ends here.
//
// What surprises:
//   - Identity headers are stripped and stamped in the reverse proxy's rewrite step, which runs
//     after hop-by-hop headers are gone and on plain and upgraded requests alike. A round tripper
//     would be bypassed by nothing here, but could not refuse.
//   - The proxy's own credential is read before the rewrite step, because only there a failure can
//     still be answered.
//   - There are three lanes (see Lane): short requests and upgrades speak HTTP/1.1 upstream, open
//     watches share HTTP/2 connections. Which request takes which lane is decided in one place.
//   - Short requests do without net/http's transport (see shortTransport), for its wake-ups cost
//     more than all the rest. It still carries large bodies.
//   - The path is forwarded byte for byte as it was parsed; nothing is cleaned or folded.
package proxy
