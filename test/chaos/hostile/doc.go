// Package hostile holds clients that no server would wish for: some vanish without a word, some
// read too slowly, some say nothing or half of something, some ask and take back at once.
//
// What surprises: they speak HTTP by hand on connections of their own, since a decent library
// does none of this. All load is bounded by the count and the context that a caller gives. A
// client that vanishes does so by a packet filter on its socket (see [Conn.Silence]): its kernel
// drops every packet of the peer, unacknowledged, as if the machine had lost its network.
package hostile
