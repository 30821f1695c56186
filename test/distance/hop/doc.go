// Package hop is a TCP path on which everything takes time, as on a way across the globe.
//
// What surprises: the kernel's handshake with the near side is done at once, so the path stays silent
// for the time that it would have taken. Bandwidth is not limited and no window has to open: what a
// real distance adds to a big answer on a fresh connection is more than this.
package hop
