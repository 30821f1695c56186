// Package distance measures what the way through the centre costs where user, centre and cluster are
// far from each other: the same questions directly and through the manager's gateway, with delay added
// on each hop.
//
// What surprises: a delay is one way, so a question and its answer take twice that on each hop that
// they cross. Of the hops user to centre, centre to cluster and user to cluster, the direct way crosses
// one and the central way two. Package hop says what a real distance adds that is left out here.
package distance
