// Package accesstoken makes and judges direct endpoint tokens: JWTs that the manager signs and that an
// agent verifies offline, with nothing but a trust bundle (issuer, cluster UID, public keys, revocations).
//
// The manager builds [Claims] and calls [Signer.Sign]. The agent hands the current [Bundle] to a [Verifier]
// and asks it about every bearer token. Three kinds of answer:
//
//   - an [Identity]: the token is good here and now;
//   - [ErrForeign]: not a token of our issuer, so another authenticator may judge it;
//   - anything else ([*Error], [ErrNoBundle]): refused, and never to be passed on.
//
// What would surprise you, in the order the code runs:
//
//   - Whether a token is ours is decided by its payload's "iss" alone, before anything is verified. Whatever
//     is wrong with such a token, the answer is a refusal. A payload that names several issuers, one of them
//     ours, counts as ours. Without a bundle every JWT is refused, since it could be ours.
//   - The header may hold alg, kid and typ, nothing else: no key, URL or certificate in a token is looked at.
//     The kid finds the key in the bundle and the key alone says which algorithm is right (RFC 8725, 3.1).
//     An unknown kid is a refusal, not a request.
//   - The same rules for names hold when a token is signed and when it is read (validate.go), because a name
//     that one hop trims and another keeps is two identities. No token carries a "system:" group other than
//     system:authenticated, whoever signed it.
//   - Unknown claims are ignored, as RFC 7519 asks, but an unknown member of "scope" is a refusal: a limit
//     that an old agent does not know must not vanish. New limits therefore belong into the scope.
//   - A token for several clusters has the audience [AllClusters] and names their UIDs in its scope. It is
//     good for those, whatever a bundle says about tokens for all clusters, and for no other.
//   - An empty list in a scope is refused: whoever takes it for an absent one reads "no limit".
//   - exp has no leeway; nbf and iat have [Leeway] for clocks that differ. A token lives [MaxLifetime] at most.
//   - Only good tokens are cached, under a keyed hash, in the snapshot that judged them. A new bundle brings
//     an empty cache, so a removed key or a revocation counts from the next request on. Requests that are
//     already open are the caller's: wait on [Verifier.Changed] and ask [Verifier.Valid] again.
//
// Errors name claims and what is wrong with them, never the token.
package accesstoken
