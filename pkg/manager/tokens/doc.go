// Package tokens issues direct endpoint tokens, and says what agents must know to judge them.
//
// Service holds the parts: Keys signs (package signingkeys), Issuer decides what a token may say, records
// of issued tokens say what is revoked (package issued), and Bundles puts keys and revocations together
// for one cluster. Run watches, in every manager; Lead writes keys and revocations, in the leader.
//
// What surprises, in the order the code runs:
//   - A token is never wider than the access key by which it was asked for, and names no cluster that its
//     owner may not use. A cluster that does not exist and one that may not be used get one answer.
//   - Two clusters that say that they are the same are no target for a token: one of them would get to
//     see tokens that are good at the other.
//   - Before a token is signed it is written down for whom, in the central cluster. Where that cannot be
//     done there is no token.
//   - Bundles depend on what is stored, and not on the time, so that they change only when something
//     changed, and an unchanged one has the same bytes.
//   - Caches are asked only after they have been filled: a user who has not been read yet would look
//     like one who was deleted.
package tokens
