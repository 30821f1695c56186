// Package authn says who makes a request to the manager.
//
// The first answer wins: an access key, by its hash · a token of an OIDC provider of
// --authentication-config · a TokenReview with the central cluster. There is no anonymous.
//
// In the order the code runs: authenticator.go (what is asked in which order), keys.go (access keys),
// activity.go (when they were used), people.go (whom somebody else's word stands for), oidc.go and
// reload.go (providers), limiter.go (failures by address), filter.go (in front of the API).
//
// What surprises:
//   - A credential that is *wrong* and one that could not be *checked* are different answers (401 and
//     503): a client that is told 401 throws its credential away.
//   - An access key that this manager knows is let in however often others fail from the same address:
//     a limit that locks people out of what they know is an attack of its own.
//   - Who authenticates elsewhere under a name that a User has as its subject *is* that User, with
//     the User's groups and no others.
package authn
