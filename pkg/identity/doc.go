// Package identity is the only code that removes identity headers from a request and the only
// code that puts them on.
//
// What surprises:
//   - Strip goes by case-insensitive prefix, over the map's own keys: client-go's impersonating
//     transport keeps what is already set, and no reverse proxy removes Impersonate-* by itself.
//   - Stamp always writes all four of name, UID, groups and extra. An empty user name means "no
//     impersonation" to the API server, which would run the request as the agent: Validate refuses it.
//   - HTTP/1.1 trims blanks at the ends of a header value and HTTP/2 does not, so one name could
//     become two identities: Validate refuses such names.
//   - Call Stamp after hop-by-hop headers are gone, never before: "Connection: Impersonate-User"
//     from a client would take the header off again.
package identity
